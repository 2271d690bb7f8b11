<?php
// The frontend's configuration; `start zabbix` sets the environment.
$DB = [
    'TYPE' => 'POSTGRESQL', 'SERVER' => '127.0.0.1', 'PORT' => getenv('ZABBIX_DB_PORT'), 'DATABASE' => 'zabbix',
    'USER' => 'postgres', 'PASSWORD' => '', 'SCHEMA' => '', 'ENCRYPTION' => false, 'DOUBLE_IEEE754' => true,
];
$ZBX_SERVER_NAME = '';
$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
$ALLOW_HTTP_AUTH = true;
