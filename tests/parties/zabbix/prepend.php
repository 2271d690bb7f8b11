<?php
// What a web server in front of Zabbix does for its HTTP authentication.
if (isset($_SERVER['HTTP_' . getenv('USER_HEADER')])) {
    $_SERVER['REMOTE_USER'] = $_SERVER['HTTP_' . getenv('USER_HEADER')];
}
