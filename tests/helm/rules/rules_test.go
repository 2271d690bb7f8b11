// Package rules: every expression of the alerts and the dashboard is PromQL on metrics and labels that there are
// (docs/metrics.md), and every alert fires when it should, and only then.
package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

// What Prometheus or Kubernetes adds to whatever is scraped.
var target = []string{"namespace", "pod", "job", "instance", "le"}

func read(t *testing.T, path string) []byte {
	t.Helper()
	root := os.Getenv("NARTHEX_ROOT")
	if root == "" {
		root = "../../.."
	}
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Metric to labels, as docs/metrics.md has them.
func metrics(t *testing.T) map[string][]string {
	row := regexp.MustCompile("(?m)^\\| `(narthex_[a-z_]+)` \\| (counter|gauge|histogram) \\| ([a-z_, ]*) ?\\|")
	// What Prometheus says of whatever it asks.
	known := map[string][]string{"up": nil}
	for _, found := range row.FindAllStringSubmatch(string(read(t, "docs/metrics.md")), -1) {
		var names []string
		for _, name := range strings.Split(found[3], ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			}
		}
		if found[2] == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				known[found[1]+suffix] = names
			}
		} else {
			known[found[1]] = names
		}
	}
	if len(known) < 10 {
		t.Fatalf("docs/metrics.md has %d metrics", len(known))
	}
	return known
}

func alerts(t *testing.T) []rulefmt.Rule {
	groups, errs := rulefmt.Parse(read(t, "helm/narthex/files/alerts.yaml"), false, model.UTF8Validation)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var rules []rulefmt.Rule
	for _, group := range groups.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// Every expression, with where it stands.
func expressions(t *testing.T) map[string]string {
	found := map[string]string{}
	for _, rule := range alerts(t) {
		found["alert "+rule.Alert] = rule.Expr
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, RefID string }
		}
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
	}
	if err := json.Unmarshal(read(t, "helm/narthex/files/dashboard.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	interval := strings.NewReplacer("$__rate_interval", "5m", "$namespace", ".*", "$pod", ".*")
	for _, panel := range dashboard.Panels {
		for _, query := range panel.Targets {
			found[fmt.Sprintf("panel %q %s", panel.Title, query.RefID)] = interval.Replace(query.Expr)
		}
	}
	for _, variable := range dashboard.Templating.List {
		if query, ok := variable.Query.(map[string]any); ok {
			text := strings.TrimPrefix(query["query"].(string), "label_values(")
			found["variable "+variable.Name] = interval.Replace(text[:strings.LastIndex(text, ",")])
		}
	}
	return found
}

func TestExpressionsAreOnMetricsAndLabelsThatThereAre(t *testing.T) {
	known := metrics(t)
	for at, text := range expressions(t) {
		expression, err := parser.ParseExpr(text)
		if err != nil {
			t.Errorf("%s: %v", at, err)
			continue
		}
		var here, named []string
		parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
			switch node := node.(type) {
			case *parser.VectorSelector:
				allowed, there := known[node.Name]
				if !there {
					t.Errorf("%s: there is no metric %s", at, node.Name)
				}
				here = append(here, allowed...)
				for _, matcher := range node.LabelMatchers {
					if matcher.Name != labels.MetricName {
						if !slices.Contains(allowed, matcher.Name) && !slices.Contains(target, matcher.Name) {
							t.Errorf("%s: %s has no label %s", at, node.Name, matcher.Name)
						}
					}
				}
			case *parser.AggregateExpr:
				named = append(named, node.Grouping...)
			}
			return nil
		})
		for _, name := range named {
			if !slices.Contains(here, name) && !slices.Contains(target, name) {
				t.Errorf("%s: nothing there has a label %s", at, name)
			}
		}
	}
}

func TestAlertsSayWhatHappenedAndWhatToDo(t *testing.T) {
	severities := []string{"critical", "warning", "info"}
	for _, rule := range alerts(t) {
		if !slices.Contains(severities, rule.Labels["severity"]) || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
			t.Errorf("%s lacks a severity, a summary or a description", rule.Alert)
		}
	}
}

// One minute apart for an hour and a half; asked at the end.
const end = 90 * time.Minute

var cases = []struct {
	alert, series string
	fires         bool
}{
	{"NarthexDown", `narthex_store_away{job="a", instance="1"} 0x80 _x10
		up{job="a", instance="1"} 1x80 0x10`, true},
	// Each by itself.
	{"NarthexDown", `narthex_store_away{job="a", instance="1"} 0x80 _x10
		narthex_store_away{job="a", instance="2"} 0x90
		up{job="a", instance="1"} 1x80 0x10
		up{job="a", instance="2"} 1x90`, true},
	{"NarthexDown", `narthex_store_away{job="a", instance="1"} 0x90
		up{job="a", instance="1"} 1x90`, false},
	// Another program.
	{"NarthexDown", `narthex_store_away{job="a", instance="1"} 0x90
		up{job="a", instance="1"} 1x90
		up{job="b", instance="1"} 0x90`, false},
	// A pod that was replaced: nobody asks it any more.
	{"NarthexDown", `narthex_store_away{job="a", instance="1"} 0x80 _x10
		up{job="a", instance="1"} 1x80 _x10
		narthex_store_away{job="a", instance="2"} _x80 0x10
		up{job="a", instance="2"} _x80 1x10`, false},
	{"NarthexNotSeen", `narthex_store_away 0x80 _x10`, true},
	{"NarthexNotSeen", `up{job="other"} 1x90`, true},
	{"NarthexNotSeen", `narthex_store_away 1x90`, false},
	{"NarthexStoreAway", `narthex_store_away 0x88 1x2`, true},
	{"NarthexStoreAway", `narthex_store_away 1x88 0x2`, false},
	{"NarthexConfigurationRefused", `narthex_configuration_refused 1x90`, true},
	{"NarthexConfigurationRefused", `narthex_configuration_refused 1x88 0x2`, false},
	{"NarthexApplicationAway", `narthex_application_left_alone 1x90`, true},
	{"NarthexApplicationAway", `narthex_application_left_alone 0x90`, false},
	{"NarthexUpstreamErrors", `narthex_requests_total{class="signed_in"} 0+94x90
		narthex_requests_total{class="upstream_error"} 0+6x90`, true},
	{"NarthexUpstreamErrors", `narthex_requests_total{class="signed_in"} 0+96x90
		narthex_requests_total{class="upstream_error"} 0+4x90`, false},
	// What never went to the application says nothing of it.
	{"NarthexUpstreamErrors", `narthex_requests_total{class="signed_in"} 0+94x90
		narthex_requests_total{class="login_needed"} 0+9999x90
		narthex_requests_total{class="upstream_error"} 0+6x90`, true},
	{"NarthexLoginsFail", `narthex_logins_total{idp="corp", outcome="signed_in"} 0+1x90
		narthex_logins_total{idp="corp", outcome="state_unknown"} 0+2x90`, true},
	{"NarthexLoginsFail", `narthex_logins_total{idp="corp", outcome="signed_in"} 0+2x90
		narthex_logins_total{idp="corp", outcome="state_unknown"} 0+1x90`, false},
	// One provider that works does not hide another.
	{"NarthexLoginsFail", `narthex_logins_total{idp="corp", outcome="signed_in"} 0+50x90
		narthex_logins_total{idp="partner", outcome="signature_invalid"} 0+2x90`, true},
	// Two people who gave up are no outage.
	{"NarthexLoginsFail", `narthex_logins_total{idp="corp", outcome="access_denied"} 0x80 1x4 2x5`, false},
	{"NarthexProvisioningSlow", `narthex_provisioning_seconds_bucket{outcome="created", le="5"} 0+1x90
		narthex_provisioning_seconds_bucket{outcome="created", le="15"} 0+2x90
		narthex_provisioning_seconds_bucket{outcome="created", le="+Inf"} 0+2x90`, true},
	{"NarthexProvisioningSlow", `narthex_provisioning_seconds_bucket{outcome="created", le="5"} 0+2x90
		narthex_provisioning_seconds_bucket{outcome="created", le="15"} 0+2x90
		narthex_provisioning_seconds_bucket{outcome="created", le="+Inf"} 0+2x90`, false},
	{"NarthexJobParked", `narthex_jobs_total{kind="deactivate", outcome="parked"} 3x80 4x9`, true},
	// The first one: the series begins with it.
	{"NarthexJobParked", `narthex_jobs_total{kind="deactivate", outcome="parked"} _x80 1x9`, true},
	{"NarthexJobParked", `narthex_jobs_total{kind="deactivate", outcome="parked"} 4x90`, false},
	{"NarthexJobParked", `narthex_jobs_total{kind="deactivate", outcome="done"} 0+1x90`, false},
	{"NarthexJobsFail", `narthex_jobs_total{kind="sync", outcome="failed"} 0+3x90
		narthex_jobs_total{kind="sync", outcome="done"} 0+1x90`, true},
	{"NarthexJobsFail", `narthex_jobs_total{kind="sync", outcome="failed"} 0+1x90
		narthex_jobs_total{kind="sync", outcome="done"} 0+3x90`, false},
	{"NarthexRemovalsPaused", `narthex_removals_paused_total{by="sync"} _x80 2x9`, true},
	{"NarthexRemovalsPaused", `narthex_removals_paused_total{by="sync"} 2x90`, false},
	{"NarthexAuditLost", `narthex_audit_lost_total _x80 1x9`, true},
	{"NarthexAuditLost", `narthex_audit_lost_total 1x80 2x9`, true},
	{"NarthexAuditLost", `narthex_audit_lost_total 0x90`, false},
	// A restart begins at nothing.
	{"NarthexAuditLost", `narthex_audit_lost_total 5x80 0x9`, false},
	{"NarthexAuditWaits", `narthex_audit_waiting 1001x90`, true},
	{"NarthexAuditWaits", `narthex_audit_waiting 1000x90`, false},
	{"NarthexNotificationsLost", `narthex_notifications_total{channel="email", outcome="lost"} _x80 1x9`, true},
	{"NarthexNotificationsLost", `narthex_notifications_total{channel="email", outcome="sent"} 0+1x90`, false},
	{"NarthexHeaderAttack", `narthex_stripped_headers_total{spelling="alias"} _x85 1x4`, true},
	{"NarthexHeaderAttack", `narthex_stripped_headers_total{spelling="usual"} 0+1x90`, false},
}

func TestAlertsFireWhenTheyShouldAndOnlyThen(t *testing.T) {
	rules, seen := map[string]string{}, map[string]map[bool]bool{}
	for _, rule := range alerts(t) {
		rules[rule.Alert], seen[rule.Alert] = rule.Expr, map[bool]bool{}
	}
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	for _, one := range cases {
		expression, there := rules[one.alert]
		if !there {
			t.Errorf("there is no alert %s", one.alert)
			continue
		}
		seen[one.alert][one.fires] = true
		storage := promqltest.LoadedStorage(t, "load 1m\n\t"+one.series)
		query, err := engine.NewInstantQuery(t.Context(), storage, nil, expression, time.Unix(0, 0).Add(end))
		if err != nil {
			t.Fatal(err)
		}
		result := query.Exec(t.Context())
		vector, err := result.Vector()
		if err != nil {
			t.Fatal(err)
		}
		if fired := len(vector) > 0; fired != one.fires {
			t.Errorf("%s fires: %v, with %s: %v", one.alert, fired, one.series, promql.Vector(vector))
		}
		query.Close()
		storage.Close()
	}
	for name, both := range seen {
		if len(both) < 2 {
			t.Errorf("%s is not seen both to fire and to be quiet", name)
		}
	}
}
