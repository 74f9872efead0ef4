package packet

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestRequestsOfEachOperation(t *testing.T) {
	device := deviceJSON(testDevice, "node-1")
	locked := true
	for _, test := range []struct {
		name   string
		answer answer
		call   func(context.Context, *Client) error
		// want is method, path and query, then a space and the body.
		want string
	}{
		{"device", ok(device), func(ctx context.Context, c *Client) error {
			d, err := c.Device(ctx, testDevice, Include("ip_addresses.parent_block", "project"), Exclude("plan"))
			if err == nil && d.Hostname != "node-1" {
				err = errors.New("another device")
			}
			return err
		}, "GET /metal/v1/devices/" + testDevice + "?exclude=plan&include=ip_addresses.parent_block%2Cproject"},
		{"devices", ok(`{"devices":[],"meta":{"total":0,"current_page":1,"last_page":1}}`), func(ctx context.Context, c *Client) error {
			_, err := c.Devices(ctx, testProject, DeviceFilter{Tag: "a b", Hostname: "h", Reserved: &locked})
			return err
		}, "GET /metal/v1/projects/" + testProject + "/devices?hostname=h&page=1&per_page=1000&reserved=true&tag=a+b"},
		{"create device", ok(device), func(ctx context.Context, c *Client) error {
			_, err := c.CreateDevice(ctx, testProject, DeviceCreate{Plan: "p", OperatingSystem: "o", Metro: "da"})
			return err
		}, "POST /metal/v1/projects/" + testProject + `/devices {"plan":"p","operating_system":"o","metro":"da"}`},
		{"update device", ok(device), func(ctx context.Context, c *Client) error {
			_, err := c.UpdateDevice(ctx, testDevice, DeviceUpdate{Tags: &[]string{}, Locked: &locked})
			return err
		}, "PUT /metal/v1/devices/" + testDevice + ` {"tags":[],"locked":true}`},
		{"delete device", answer{status: 204}, func(ctx context.Context, c *Client) error {
			return c.DeleteDevice(ctx, testDevice, false)
		}, "DELETE /metal/v1/devices/" + testDevice},
		{"force delete device", answer{status: 204}, func(ctx context.Context, c *Client) error {
			return c.DeleteDevice(ctx, testDevice, true)
		}, "DELETE /metal/v1/devices/" + testDevice + "?force_delete=true"},
		{"device action", answer{status: 202}, func(ctx context.Context, c *Client) error {
			return c.DeviceAction(ctx, testDevice, DeviceAction{Type: ActionReboot})
		}, "POST /metal/v1/devices/" + testDevice + `/actions {"type":"reboot"}`},
		{"device events", ok(`{"events":[]}`), func(ctx context.Context, c *Client) error {
			_, err := c.DeviceEvents(ctx, testDevice)
			return err
		}, "GET /metal/v1/devices/" + testDevice + "/events?page=1&per_page=1000"},
		{"reservations", ok(`{"ip_addresses":[]}`), func(ctx context.Context, c *Client) error {
			_, err := c.IPReservations(ctx, testProject, IPTypes(IPTypePublicIPv4, IPTypeGlobalIPv4))
			return err
		}, "GET /metal/v1/projects/" + testProject + "/ips?page=1&per_page=1000&types=public_ipv4%2Cglobal_ipv4"},
		{"create reservation", ok(`{"id":"x","type":"public_ipv4"}`), func(ctx context.Context, c *Client) error {
			_, err := c.CreateIPReservation(ctx, testProject, IPReservationCreate{Type: IPTypePublicIPv4, Quantity: 1, Metro: "da", FailOnApprovalRequired: true})
			return err
		}, "POST /metal/v1/projects/" + testProject + `/ips {"type":"public_ipv4","quantity":1,"metro":"da","fail_on_approval_required":true}`},
		{"reservation", ok(`{"id":"x","type":"public_ipv4"}`), func(ctx context.Context, c *Client) error {
			_, err := c.IPReservation(ctx, testDevice)
			return err
		}, "GET /metal/v1/ips/" + testDevice},
		{"delete IP", answer{status: 204}, func(ctx context.Context, c *Client) error { return c.DeleteIP(ctx, testDevice) }, "DELETE /metal/v1/ips/" + testDevice},
		{"assign IP", ok(`{"id":"x","address":"198.18.3.7"}`), func(ctx context.Context, c *Client) error {
			_, err := c.AssignIP(ctx, testDevice, "198.18.3.7/32")
			return err
		}, "POST /metal/v1/devices/" + testDevice + `/ips {"address":"198.18.3.7/32"}`},
		{"device IPs", ok(`{"ip_addresses":[]}`), func(ctx context.Context, c *Client) error {
			_, err := c.DeviceIPs(ctx, testDevice)
			return err
		}, "GET /metal/v1/devices/" + testDevice + "/ips"},
		{"BGP config", ok(`{"id":null,"status":null,"md5":null}`), func(ctx context.Context, c *Client) error {
			config, err := c.BGPConfig(ctx, testProject)
			if err == nil && config.Enabled() {
				err = errors.New("enabled")
			}
			return err
		}, "GET /metal/v1/projects/" + testProject + "/bgp-config"},
		{"request BGP config", answer{status: 204}, func(ctx context.Context, c *Client) error {
			return c.RequestBGPConfig(ctx, testProject, BGPConfigRequest{DeploymentType: BGPLocal, ASN: 65000})
		}, "POST /metal/v1/projects/" + testProject + `/bgp-configs {"deployment_type":"local","asn":65000}`},
		{"BGP sessions", ok(`{"bgp_sessions":[]}`), func(ctx context.Context, c *Client) error {
			_, err := c.BGPSessions(ctx, testDevice)
			return err
		}, "GET /metal/v1/devices/" + testDevice + "/bgp/sessions"},
		{"project BGP sessions", ok(`{"bgp_sessions":[]}`), func(ctx context.Context, c *Client) error {
			_, err := c.ProjectBGPSessions(ctx, testProject)
			return err
		}, "GET /metal/v1/projects/" + testProject + "/bgp/sessions"},
		{"create BGP session", ok(`{"id":"x","address_family":"ipv4"}`), func(ctx context.Context, c *Client) error {
			_, err := c.CreateBGPSession(ctx, testDevice, BGPSessionCreate{AddressFamily: BGPIPv4})
			return err
		}, "POST /metal/v1/devices/" + testDevice + `/bgp/sessions {"address_family":"ipv4"}`},
		{"delete BGP session", answer{status: 204}, func(ctx context.Context, c *Client) error {
			return c.DeleteBGPSession(ctx, testDevice)
		}, "DELETE /metal/v1/bgp/sessions/" + testDevice},
		{"BGP neighbours", ok(`{"bgp_neighbors":[{"address_family":4,"peer_ips":["169.254.255.1"]}]}`), func(ctx context.Context, c *Client) error {
			n, err := c.BGPNeighbors(ctx, testDevice)
			if err == nil && n[0].PeerIPs[0] != "169.254.255.1" {
				err = errors.New("another neighbour")
			}
			return err
		}, "GET /metal/v1/devices/" + testDevice + "/bgp/neighbors"},
		{"projects", ok(`{"projects":[{"id":"x"}]}`), func(ctx context.Context, c *Client) error {
			_, err := c.Projects(ctx)
			return err
		}, "GET /metal/v1/projects?page=1&per_page=1000"},
		{"project", ok(`{"id":"` + testProject + `"}`), func(ctx context.Context, c *Client) error {
			_, err := c.Project(ctx, testProject)
			return err
		}, "GET /metal/v1/projects/" + testProject},
		{"metros", ok(`{"metros":[]}`), func(ctx context.Context, c *Client) error { _, err := c.Metros(ctx); return err }, "GET /metal/v1/locations/metros"},
		{"facilities", ok(`{"facilities":[]}`), func(ctx context.Context, c *Client) error { _, err := c.Facilities(ctx); return err }, "GET /metal/v1/facilities"},
		{"plans", ok(`{"plans":[]}`), func(ctx context.Context, c *Client) error { _, err := c.Plans(ctx); return err }, "GET /metal/v1/plans"},
		{"operating systems", ok(`{"operating_systems":[]}`), func(ctx context.Context, c *Client) error {
			_, err := c.OperatingSystems(ctx)
			return err
		}, "GET /metal/v1/operating-systems"},
		{"SSH keys", ok(`{"ssh_keys":[]}`), func(ctx context.Context, c *Client) error {
			_, err := c.ProjectSSHKeys(ctx, testProject)
			return err
		}, "GET /metal/v1/projects/" + testProject + "/ssh-keys"},
		{"create SSH key", ok(`{"id":"x"}`), func(ctx context.Context, c *Client) error {
			_, err := c.CreateProjectSSHKey(ctx, testProject, SSHKeyCreate{Label: "l", Key: "ssh-ed25519 AAAA"})
			return err
		}, "POST /metal/v1/projects/" + testProject + `/ssh-keys {"label":"l","key":"ssh-ed25519 AAAA"}`},
		{"delete SSH key", answer{status: 204}, func(ctx context.Context, c *Client) error { return c.DeleteSSHKey(ctx, testDevice) }, "DELETE /metal/v1/ssh-keys/" + testDevice},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = strings.TrimSpace(r.Method + " " + r.URL.RequestURI() + " " + string(body))
				if r.Header.Get("X-Auth-Token") != testToken || r.Header.Get("User-Agent") != "packetyard" || r.Header.Get("Accept") != "application/json" {
					t.Errorf("headers are %v", r.Header)
				}
				if (len(body) > 0) != (r.Header.Get("Content-Type") == "application/json") {
					t.Errorf("Content-Type is %q for a body of %d bytes", r.Header.Get("Content-Type"), len(body))
				}
				(&script{answers: []answer{test.answer}}).serve(w, r)
			}))
			defer server.Close()
			c, _ := newTestClient(t, server.URL)
			if err := test.call(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("asked\n%s, want\n%s", got, test.want)
			}
		})
	}
}

func TestIDsThatAreNoUUIDsAreNotSent(t *testing.T) {
	s := newScript(t, answer{status: 204})
	c, _ := newTestClient(t, s.URL)
	for _, id := range []string{"", ".", "../projects", "node-1", testDevice + "/actions"} {
		if err := c.DeleteDevice(t.Context(), id, true); err == nil || !strings.Contains(err.Error(), "device ID") || IsNotFound(err) {
			t.Errorf("deleting device %q: %v", id, err)
		}
	}
	if n := len(s.asked()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// refused is the URL of a server that is not there.
func refused(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return "http://" + listener.Addr().String()
}

func TestPredicates(t *testing.T) {
	html := answer{status: 404, header: map[string]string{"Content-Type": "text/html"}, body: "<html><body>404 page not found</body></html>"}
	kube := answer{status: 404, header: map[string]string{"Content-Type": "application/json"},
		body: `{"kind":"Status","status":"Failure","message":"devices not found","reason":"NotFound","code":404}`}
	for _, test := range []struct {
		name   string
		answer answer
		// is lists the predicates that hold.
		is []string
	}{
		{"404 of the API", apiError(404, "Not found"), []string{"NotFound"}},
		{"404 of the API, other key", answer{status: 404, body: `{"error":"Not found"}`}, []string{"NotFound"}},
		{"404 in HTML", html, []string{"Transient"}},
		{"404 of a Kubernetes API server", kube, []string{"Transient"}},
		{"404 without a body", answer{status: 404}, []string{"Transient"}},
		{"404 with an empty list of errors", answer{status: 404, body: `{"errors":[]}`}, []string{"Transient"}},
		{"404 of a registry", answer{status: 404, body: `{"errors":[{"code":"NAME_UNKNOWN"}]}`}, []string{"Transient"}},
		{"401", apiError(401, "Invalid authentication token"), []string{"Unauthorized"}},
		{"403", apiError(403, "You are not authorized to view this device"), []string{"Forbidden"}},
		{"422", apiError(422, "plan is not valid"), []string{"Unprocessable"}},
		{"422 session", apiError(422, "Device already has session for ipv4"), []string{"Unprocessable", "SessionExists"}},
		{"429", apiError(429, "Too many requests"), []string{"RateLimited", "Transient"}},
		{"429 of a proxy", answer{status: 429, body: "slow down"}, []string{"RateLimited", "Transient"}},
		{"500", apiError(500, "Oh snap"), []string{"Transient"}},
		{"503", apiError(503, "There are no available hardware reservations for selected plan and facility"), []string{"Transient"}},
		{"410", apiError(410, "Gone"), nil},
		{"redirection", answer{status: 302, header: map[string]string{"Location": "https://login.example.com/"}}, []string{"Transient"}},
		{"hang up", answer{hangUp: true}, []string{"Transient"}},
		{"200 in HTML", answer{status: 200, body: "<html>Log in</html>"}, []string{"Transient"}},
		{"200 without an ID", ok(`{}`), []string{"Transient"}},
		{"200 null", ok(`null`), []string{"Transient"}},
		{"200 cut short", ok(`{"id":`), []string{"Transient"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScript(t, test.answer)
			c, _ := newTestClient(t, s.URL)
			_, err := c.Device(t.Context(), testDevice)
			checkPredicates(t, err, test.is)
		})
	}
}

func checkPredicates(t *testing.T, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	var got []string
	for _, p := range []struct {
		name string
		is   func(error) bool
	}{
		{"NotFound", IsNotFound}, {"Unauthorized", IsUnauthorized}, {"Forbidden", IsForbidden}, {"Unprocessable", IsUnprocessable},
		{"SessionExists", IsSessionExists}, {"RateLimited", IsRateLimited}, {"Transient", IsTransient},
	} {
		if p.is(err) {
			got = append(got, p.name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("error %q is %v, want %v", err, got, want)
	}
}

func TestAFailedConnectionIsNotNotFound(t *testing.T) {
	c, _ := newTestClient(t, refused(t))
	_, err := c.Device(t.Context(), testDevice)
	checkPredicates(t, err, []string{"Transient"})
}

func TestAnUnknownHostIsNotNotFound(t *testing.T) {
	c, _ := newTestClient(t, "http://127.0.0.1", func(config *Config) {
		config.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}
		}}}
	})
	_, err := c.Device(t.Context(), testDevice)
	checkPredicates(t, err, []string{"Transient"})
}

// stuck is a server that takes requests and does not answer.
func stuck(t *testing.T) string {
	t.Helper()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	return server.URL
}

func TestATimeOutIsNotNotFound(t *testing.T) {
	c, _ := newTestClient(t, stuck(t), func(config *Config) { config.Timeout = 20 * time.Millisecond; config.Retries = -1 })
	_, err := c.Device(t.Context(), testDevice)
	checkPredicates(t, err, []string{"Transient"})
	if !strings.Contains(err.Error(), "no answer within 20ms") {
		t.Errorf("error is %q", err)
	}
}

func TestACancelledContextIsNoAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newScript(t, apiError(404, "Not found"))
	c, _ := newTestClient(t, s.URL, func(config *Config) {
		config.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			cancel()
			return http.DefaultTransport.RoundTrip(r)
		})}
	})
	_, err := c.Device(ctx, testDevice)
	checkPredicates(t, err, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %q is not context.Canceled", err)
	}
	if _, err := c.Device(ctx, testDevice); !errors.Is(err, context.Canceled) {
		t.Errorf("error of a request with an ended context is %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRetries(t *testing.T) {
	read := func(ctx context.Context, c *Client) error { _, err := c.Device(ctx, testDevice); return err }
	remove := func(ctx context.Context, c *Client) error { return c.DeleteDevice(ctx, testDevice, false) }
	create := func(ctx context.Context, c *Client) error {
		_, err := c.CreateDevice(ctx, testProject, DeviceCreate{})
		return err
	}
	device := ok(deviceJSON(testDevice, "node-1"))
	retryAfter := func(seconds string) answer {
		a := apiError(429, "Too many requests")
		a.header["Retry-After"] = seconds
		return a
	}
	s := time.Second
	ms := time.Millisecond
	for _, test := range []struct {
		name    string
		answers []answer
		call    func(context.Context, *Client) error
		asked   int
		slept   []time.Duration
		fails   bool
	}{
		{"read after 500", []answer{apiError(500, "Oh snap"), device}, read, 2, []time.Duration{250 * ms}, false},
		{"read after lost connections", []answer{{hangUp: true}, {hangUp: true}, device}, read, 3, []time.Duration{250 * ms, 500 * ms}, false},
		{"read gives up", []answer{apiError(502, "Bad gateway")}, read, 5, []time.Duration{250 * ms, 500 * ms, 1 * s, 2 * s}, true},
		{"read of a 404", []answer{apiError(404, "Not found")}, read, 1, nil, true},
		{"read of a 401", []answer{apiError(401, "Invalid authentication token")}, read, 1, nil, true},
		{"read after 429 with Retry-After", []answer{retryAfter("3"), device}, read, 2, []time.Duration{3 * s}, false},
		{"read after 429 with a date", []answer{retryAfter("Sat, 21 Nov 2026 12:00:07 GMT"), device}, read, 2, []time.Duration{7 * s}, false},
		{"read after 429 with too long a wait", []answer{retryAfter("3600"), device}, read, 1, nil, true},
		{"read after 429 without Retry-After", []answer{apiError(429, "Too many requests"), device}, read, 2, []time.Duration{250 * ms}, false},
		{"deletion after 503", []answer{apiError(503, "Unavailable"), {status: 204}}, remove, 2, []time.Duration{250 * ms}, false},
		{"creation after 500", []answer{apiError(500, "Oh snap"), device}, create, 1, nil, true},
		{"creation after 503", []answer{apiError(503, "Server is not provisionable"), device}, create, 1, nil, true},
		{"creation after a lost connection", []answer{{hangUp: true}, device}, create, 1, nil, true},
		{"creation after 429", []answer{retryAfter("1"), device}, create, 2, []time.Duration{1 * s}, false},
		{"creation after 422", []answer{apiError(422, "plan is not valid"), device}, create, 1, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newScript(t, test.answers...)
			c, clock := newTestClient(t, server.URL)
			err := test.call(t.Context(), c)
			if (err != nil) != test.fails {
				t.Errorf("error is %v", err)
			}
			if got := len(server.asked()); got != test.asked {
				t.Errorf("asked %d times, want %d", got, test.asked)
			}
			if got := clock.slept(); !slices.Equal(got, test.slept) {
				t.Errorf("slept %v, want %v", got, test.slept)
			}
		})
	}
}

// A creation that never left the machine cannot have happened.
func TestACreationIsSentAgainIfTheConnectionWasNeverMade(t *testing.T) {
	s := newScript(t, ok(deviceJSON(testDevice, "node-1")))
	failures := 2
	c, _ := newTestClient(t, s.URL, func(config *Config) {
		config.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if failures > 0 {
				failures--
				return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}}
	})
	if _, err := c.CreateDevice(t.Context(), testProject, DeviceCreate{}); err != nil {
		t.Fatal(err)
	}
	if n := len(s.asked()); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestNoRetryOutlivesTheDeadline(t *testing.T) {
	s := newScript(t, apiError(503, "Unavailable"))
	c, clock := newTestClient(t, s.URL)
	// The fake clock's time has nothing to do with the context's, so the
	// deadline is put where the first wait fits and the second does not.
	clock.now = time.Now()
	ctx, cancel := context.WithDeadline(t.Context(), clock.now.Add(400*time.Millisecond+10*time.Second))
	defer cancel()
	clock.advance(10 * time.Second)
	_, err := c.Device(ctx, testDevice)
	var e *Error
	if !errors.As(err, &e) || e.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("error is %v, want the API's own", err)
	}
	if n := len(s.asked()); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestATooManyRequestsHoldsBackAllRequests(t *testing.T) {
	limited := apiError(429, "Too many requests")
	limited.header["Retry-After"] = "20"
	s := newScript(t, limited, ok(deviceJSON(testDevice, "node-1")))
	c, clock := newTestClient(t, s.URL, func(config *Config) { config.Retries = -1 })
	if _, err := c.Device(t.Context(), testDevice); !IsRateLimited(err) {
		t.Fatalf("error is %v", err)
	} else if wait, asked := RetryAfter(err); !asked || wait != 20*time.Second {
		t.Errorf("RetryAfter is %v, %v", wait, asked)
	}
	clock.advance(5 * time.Second)
	if _, err := c.Device(t.Context(), testDevice); err != nil {
		t.Fatal(err)
	}
	if got := clock.slept(); !slices.Equal(got, []time.Duration{15 * time.Second}) {
		t.Errorf("slept %v, want the rest of the 20 s", got)
	}
}

func TestTokenBucket(t *testing.T) {
	s := newScript(t, ok(deviceJSON(testDevice, "node-1")))
	c, clock := newTestClient(t, s.URL, func(config *Config) { config.QPS = 2; config.Burst = 3 })
	for range 5 {
		if _, err := c.Device(t.Context(), testDevice); err != nil {
			t.Fatal(err)
		}
	}
	if got := clock.slept(); !slices.Equal(got, []time.Duration{500 * time.Millisecond, 500 * time.Millisecond}) {
		t.Errorf("slept %v: 3 at once, then 2 a second", got)
	}
	ctx, cancel := context.WithDeadline(t.Context(), clock.Now().Add(100*time.Millisecond))
	defer cancel()
	if _, err := c.Device(ctx, testDevice); !errors.Is(err, context.DeadlineExceeded) || IsNotFound(err) {
		t.Errorf("error is %v, want that the deadline is too near", err)
	}
}

func TestRedirectionsAreNotFollowed(t *testing.T) {
	thief := newScript(t, apiError(404, "Not found"))
	s := newScript(t, answer{status: 307, header: map[string]string{"Location": thief.URL + "/devices"}})
	c, _ := newTestClient(t, s.URL)
	_, err := c.Device(t.Context(), testDevice)
	if err == nil || IsNotFound(err) || !strings.Contains(err.Error(), "redirection") {
		t.Errorf("error is %v", err)
	}
	if n := len(thief.asked()); n != 0 {
		t.Errorf("the other host was asked %d times and saw the token", n)
	}
}

func TestErrorsDoNotShowSecrets(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer answer
	}{
		{"token in the API's message", apiError(401, "Invalid authentication token "+testToken)},
		{"token in HTML", answer{status: 502, body: "<pre>X-Auth-Token: " + testToken + "</pre>"}},
		{"token in a redirection", answer{status: 302, header: map[string]string{"Location": "/login?token=" + testToken}}},
		{"user data of a device that cannot be decoded", ok(`{"userdata":"` + testToken + `","id":5}`)},
		{"cut device", ok(`{"root_password":"` + testToken)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScript(t, test.answer)
			c, _ := newTestClient(t, s.URL)
			_, err := c.Device(t.Context(), testDevice)
			if err == nil || strings.Contains(err.Error(), testToken) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	s := newScript(t, apiError(422, "plan is not valid", "metro is not valid"))
	c, _ := newTestClient(t, s.URL)
	_, err := c.CreateDevice(t.Context(), testProject, DeviceCreate{})
	want := "createDevice: 422 Unprocessable Entity: plan is not valid; metro is not valid (request req-1)"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestMetrics(t *testing.T) {
	s := newScript(t, answer{hangUp: true}, apiError(500, "Oh snap"), ok(deviceJSON(testDevice, "node-1")), apiError(404, "Not found"))
	registry := prometheus.NewPedanticRegistry()
	c, _ := newTestClient(t, s.URL, func(config *Config) { config.Registerer = registry })
	// A second client on the same registry counts into the same metrics.
	other, _ := newTestClient(t, s.URL, func(config *Config) { config.Registerer = registry })
	if _, err := c.Device(t.Context(), testDevice); err != nil {
		t.Fatal(err)
	}
	if err := other.DeleteDevice(t.Context(), testDevice, false); !IsNotFound(err) {
		t.Fatal(err)
	}
	want := `
# HELP packet_api_requests_total Requests to the Packet API, by operation and by HTTP status, transport_error or cancelled.
# TYPE packet_api_requests_total counter
packet_api_requests_total{code="200",operation="findDeviceById"} 1
packet_api_requests_total{code="404",operation="deleteDevice"} 1
packet_api_requests_total{code="500",operation="findDeviceById"} 1
packet_api_requests_total{code="transport_error",operation="findDeviceById"} 1
# HELP packet_api_retries_total Requests to the Packet API that were sent again after a failure, by operation.
# TYPE packet_api_retries_total counter
packet_api_retries_total{operation="findDeviceById"} 2
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "packet_api_requests_total", "packet_api_retries_total"); err != nil {
		t.Error(err)
	}
}

func TestNewClientNamesEverythingThatIsWrong(t *testing.T) {
	_, err := NewClient(Config{BaseURL: "api.example.com", Burst: -1})
	for _, want := range []string{"API URL", "API token", "burst"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not mention %q", err, want)
		}
	}
}

func TestAReservationIsNoAssignment(t *testing.T) {
	body, err := json.Marshal(IPAssignment{ID: testDevice, Type: IPTypeAssignment})
	if err != nil {
		t.Fatal(err)
	}
	s := newScript(t, ok(string(body)))
	c, _ := newTestClient(t, s.URL)
	if _, err := c.IPReservation(t.Context(), testDevice); err == nil || IsNotFound(err) {
		t.Errorf("error is %v", err)
	}
}
