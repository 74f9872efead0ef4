package apiserver_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	metalv1 "github.com/equinix/equinix-sdk-go/services/metalv1"
	"github.com/packethost/packngo"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

const testKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl someone@example"

// client is a client whose every answer is checked against the document.
func client(t testing.TB, server *apiservertest.Server) (*packet.Client, *checker) {
	t.Helper()
	check := newChecker(t)
	c, err := packet.NewClient(packet.Config{
		BaseURL: server.URL, Token: server.Token, QPS: -1, Retries: -1, HTTPClient: &http.Client{Transport: check},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, check
}

func order(hostname string) packet.DeviceCreate {
	return packet.DeviceCreate{Hostname: hostname, Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da"}
}

// activeDevice makes a device and waits until it is active.
func activeDevice(t testing.TB, c *packet.Client, projectID string, create packet.DeviceCreate) *packet.Device {
	t.Helper()
	device, err := c.CreateDevice(t.Context(), projectID, create)
	if err != nil {
		t.Fatal(err)
	}
	return waitForState(t, c, device.ID, packet.StateActive)
}

func waitForState(t testing.TB, c *packet.Client, id string, state packet.DeviceState) *packet.Device {
	t.Helper()
	return waitForDevice(t, c, id, func(device *packet.Device, err error) bool { return err == nil && device.State == state })
}

func waitGone(t testing.TB, c *packet.Client, id string) {
	t.Helper()
	waitForDevice(t, c, id, func(_ *packet.Device, err error) bool { return packet.IsNotFound(err) })
}

// waitForDevice asks until the answer is as wanted. What it waits for takes
// milliseconds; the pause only keeps it from asking all the time.
func waitForDevice(t testing.TB, c *packet.Client, id string, wanted func(*packet.Device, error) bool) *packet.Device {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for {
		device, err := c.Device(ctx, id)
		if wanted(device, err) {
			return device
		}
		select {
		case <-ctx.Done():
			t.Fatalf("device %s did not become as wanted; the last answer was %+v, %v", id, device, err)
		case <-pause.C:
		}
	}
}

// TestOurClient goes once through everything that is implemented.
func TestOurClient(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c, check := client(t, server)
	ctx := t.Context()
	project := server.ProjectID

	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}

	projects, err := c.Projects(ctx)
	must("projects", err)
	if len(projects) != 1 || projects[0].ID != project {
		t.Fatalf("projects are %+v, want the first one", projects)
	}
	_, err = c.Project(ctx, project, packet.Include("organization"))
	must("project", err)
	metros, err := c.Metros(ctx)
	must("metros", err)
	if len(metros) != 24 {
		t.Errorf("%d metros, want 24", len(metros))
	}
	_, err = c.Facilities(ctx)
	must("facilities", err)
	plans, err := c.Plans(ctx)
	must("plans", err)
	for _, plan := range plans {
		if plan.Name != plan.Slug {
			t.Errorf("plan %s has the name %q, which clients compare with the slug", plan.Slug, plan.Name)
		}
	}
	_, err = c.OperatingSystems(ctx)
	must("operating systems", err)

	key, err := c.CreateProjectSSHKey(ctx, project, packet.SSHKeyCreate{Label: "test", Key: testKey})
	must("SSH key", err)
	keys, err := c.ProjectSSHKeys(ctx, project)
	must("SSH keys", err)
	if len(keys) != 1 || keys[0].ID != key.ID {
		t.Errorf("SSH keys are %+v, want the one that was made", keys)
	}

	create := order("node-1.example")
	create.Tags = []string{"a", "b"}
	create.Userdata = "#cloud-config\nruncmd: [true]\n"
	device := activeDevice(t, c, project, create)
	if device.ProvisioningPercentage != 100 || len(device.ProvisioningEvents) != 10 {
		t.Errorf("an active device is at %v%% of %d events, want 100 of 10", device.ProvisioningPercentage, len(device.ProvisioningEvents))
	}
	if device.Facility.Code != "da11" || device.Metro.Code != "da" || device.ShortID != device.ID[:8] {
		t.Errorf("device is in %s/%s with short ID %s", device.Facility.Code, device.Metro.Code, device.ShortID)
	}
	if len(device.SSHKeys) != 1 || !strings.HasSuffix(device.SSHKeys[0].Href, key.ID) {
		t.Errorf("device lets in %+v, want the project's key", device.SSHKeys)
	}
	checkAddresses(t, device)

	device, err = c.UpdateDevice(ctx, device.ID, packet.DeviceUpdate{Tags: &[]string{"c"}})
	must("update", err)
	if len(device.Tags) != 1 || device.Tags[0] != "c" || device.Hostname != "node-1.example" {
		t.Errorf("after an update of the tags: %v, %s", device.Tags, device.Hostname)
	}
	events, err := c.DeviceEvents(ctx, device.ID)
	must("events", err)
	if len(events) != 10 || events[0].Type != packet.EventPhonedHome {
		t.Errorf("%d events, the newest %+v, want 10 and the phone home", len(events), events[0])
	}

	reservation, err := c.CreateIPReservation(ctx, project, packet.IPReservationCreate{
		Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da", Tags: []string{"cluster"}, Details: "endpoint", FailOnApprovalRequired: true,
	})
	must("reservation", err)
	if reservation.State != packet.IPStateCreated || reservation.CIDR != 32 || reservation.Management {
		t.Errorf("reservation is %+v", reservation)
	}
	assignment, err := c.AssignIP(ctx, device.ID, reservation.Address)
	must("assignment", err)
	ips, err := c.DeviceIPs(ctx, device.ID, packet.Include("parent_block"))
	must("device IPs", err)
	if len(ips) != 4 || ips[3].ID != assignment.ID || ips[3].ParentBlock.CIDR != 32 {
		t.Errorf("device has the addresses %+v, want four, the last the elastic one with its parent block", ips)
	}
	reservations, err := c.IPReservations(ctx, project, packet.Include("assignments"))
	must("reservations", err)
	for _, r := range reservations {
		if r.ID == reservation.ID && (len(r.Assignments) != 1 || r.Assignments[0].AssignedTo.ID() != device.ID) {
			t.Errorf("the reservation has the assignments %+v, want one, to the device", r.Assignments)
		}
	}
	_, err = c.IPReservation(ctx, reservation.ID)
	must("reservation", err)
	must("unassign", c.DeleteIP(ctx, assignment.ID))
	must("release", c.DeleteIP(ctx, reservation.ID))
	if _, err := c.IPReservation(ctx, reservation.ID); !packet.IsNotFound(err) {
		t.Errorf("a released reservation: %v, want not found", err)
	}

	config, err := c.BGPConfig(ctx, project)
	must("BGP config", err)
	if config.ID != "" {
		t.Errorf("a BGP config that nobody asked for has the ID %q", config.ID)
	}
	request := packet.BGPConfigRequest{DeploymentType: packet.BGPLocal, ASN: 65000, MD5: "secretsecret"}
	must("BGP request", c.RequestBGPConfig(ctx, project, request))
	must("BGP request again", c.RequestBGPConfig(ctx, project, request))
	config, err = c.BGPConfig(ctx, project)
	must("BGP config", err)
	if !config.Enabled() || config.ASN != 65000 || *config.MD5 != "secretsecret" {
		t.Errorf("BGP config is %+v", config)
	}
	_, err = c.CreateBGPSession(ctx, device.ID, packet.BGPSessionCreate{AddressFamily: packet.BGPIPv4})
	must("BGP session", err)
	_, err = c.CreateBGPSession(ctx, device.ID, packet.BGPSessionCreate{AddressFamily: packet.BGPIPv4})
	if !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), "already has session") {
		t.Errorf("a second BGP session: %v, want 422 with the text that clients look for", err)
	}
	sessions, err := c.BGPSessions(ctx, device.ID)
	must("BGP sessions", err)
	neighbors, err := c.BGPNeighbors(ctx, device.ID)
	must("BGP neighbours", err)
	if len(sessions) != 1 || len(neighbors) != 1 || neighbors[0].CustomerIP != ips[2].Address || neighbors[0].PeerAS != 65530 {
		t.Errorf("BGP sessions %+v, neighbours %+v; want one of each, from %s", sessions, neighbors, ips[2].Address)
	}

	must("power off", c.DeviceAction(ctx, device.ID, packet.DeviceAction{Type: packet.ActionPowerOff}))
	waitForState(t, c, device.ID, packet.StateInactive)
	must("power on", c.DeviceAction(ctx, device.ID, packet.DeviceAction{Type: packet.ActionPowerOn}))
	waitForState(t, c, device.ID, packet.StateActive)
	must("reinstall", c.DeviceAction(ctx, device.ID, packet.DeviceAction{Type: packet.ActionReinstall}))
	waitForState(t, c, device.ID, packet.StateActive)

	must("delete", c.DeleteDevice(ctx, device.ID, false))
	waitGone(t, c, device.ID)
	must("SSH key", c.DeleteSSHKey(ctx, key.ID))
	waitForIPs(t, c, project, 0)

	devices, err := c.Devices(ctx, project, packet.DeviceFilter{})
	must("devices", err)
	if len(devices) != 0 {
		t.Errorf("%d devices are left over", len(devices))
	}
	for _, operation := range []string{"createDevice", "findDeviceById", "findProjectDevices", "requestIPReservation", "findDeviceEvents"} {
		if check.seen[operation] == 0 {
			t.Errorf("no answer of %s was checked", operation)
		}
	}
}

// waitForIPs waits until a project holds a number of blocks: those that
// devices have their addresses from go a moment after the last device.
func waitForIPs(t testing.TB, c *packet.Client, project string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for {
		ips, err := c.IPReservations(ctx, project)
		if err == nil && len(ips) == want {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the project holds %+v (%v), want %d blocks", ips, err, want)
		case <-pause.C:
		}
	}
}

// checkAddresses checks the three addresses that a device is born with.
func checkAddresses(t testing.TB, device *packet.Device) {
	t.Helper()
	if len(device.IPAddresses) != 3 {
		t.Fatalf("device has the addresses %+v, want three", device.IPAddresses)
	}
	public4, public6, private := device.IPAddresses[0], device.IPAddresses[1], device.IPAddresses[2]
	for _, ip := range device.IPAddresses {
		if !ip.Management || ip.Gateway != ip.Network || ip.Address == ip.Network || ip.ParentBlock.Href == "" {
			t.Errorf("address %+v: want management, the gateway at the even address, the device at the odd one, and a parent block", ip)
		}
	}
	if !public4.Public || public4.AddressFamily != 4 || public4.CIDR != 31 || !strings.HasPrefix(public4.Address, "198.1") {
		t.Errorf("the public IPv4 address is %+v", public4)
	}
	if !public6.Public || public6.AddressFamily != 6 || public6.CIDR != 127 || !strings.HasPrefix(public6.Address, "2001:db8:") {
		t.Errorf("the public IPv6 address is %+v", public6)
	}
	if private.Public || private.AddressFamily != 4 || private.CIDR != 31 || !strings.HasPrefix(private.Address, "10.") {
		t.Errorf("the private address is %+v", private)
	}
}

// TestOfficialSDK uses the last official SDK, which decodes strictly.
func TestOfficialSDK(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	check := newChecker(t)
	configuration := metalv1.NewConfiguration()
	configuration.Servers = metalv1.ServerConfigurations{{URL: server.URL}}
	configuration.AddDefaultHeader("X-Auth-Token", server.Token)
	configuration.HTTPClient = &http.Client{Transport: check}
	c := metalv1.NewAPIClient(configuration)
	ctx := t.Context()

	create := metalv1.DeviceCreateInMetroInput{Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da"}
	device, _, err := c.DevicesApi.CreateDevice(ctx, server.ProjectID).CreateDeviceRequest(
		metalv1.DeviceCreateInMetroInputAsCreateDeviceRequest(&create)).Execute()
	if err != nil {
		t.Fatal(err)
	}
	ours, _ := client(t, server)
	waitForState(t, ours, device.GetId(), packet.StateActive)

	devices, err := c.DevicesApi.FindProjectDevices(ctx, server.ProjectID).ExecuteWithPagination()
	if err != nil || len(devices.GetDevices()) != 1 {
		t.Fatalf("devices: %v, %v", devices, err)
	}
	device, _, err = c.DevicesApi.FindDeviceById(ctx, device.GetId()).Include([]string{"ip_addresses.parent_block,parent_block", "project"}).Execute()
	if err != nil {
		t.Fatal(err)
	}
	if block := device.GetIpAddresses()[2].ParentBlock; block.GetNetwork() == "" || block.GetCidr() != 25 {
		t.Errorf("the private address has the parent block %+v, want a /25", block)
	}
	if device.Project.GetName() == "" {
		t.Errorf("the project was not included: %+v", device.Project)
	}

	metro := "da"
	requested, _, err := c.IPAddressesApi.RequestIPReservation(ctx, server.ProjectID).RequestIPReservationRequest(
		metalv1.IPReservationRequestInputAsRequestIPReservationRequest(&metalv1.IPReservationRequestInput{
			Type: "public_ipv4", Quantity: 1, Metro: &metro, Tags: []string{"usage=endpoint"},
		})).Execute()
	if err != nil {
		t.Fatal(err)
	}
	reservation := requested.IPReservation
	if reservation == nil {
		t.Fatalf("what was reserved is no IPReservation: %+v", requested)
	}
	assignment, _, err := c.DevicesApi.CreateIPAssignment(ctx, device.GetId()).IPAssignmentInput(
		metalv1.IPAssignmentInput{Address: reservation.GetAddress()}).Execute()
	if err != nil {
		t.Fatal(err)
	}
	// One key too many in one reservation makes the whole list fail.
	list, _, err := c.IPAddressesApi.FindIPReservations(ctx, server.ProjectID).Include([]string{"assignments", "parent_block"}).Execute()
	if err != nil || len(list.GetIpAddresses()) != 4 {
		t.Fatalf("reservations: %+v, %v; want four", list, err)
	}
	for _, id := range []string{reservation.GetId(), assignment.GetId()} {
		found, _, err := c.IPAddressesApi.FindIPAddressById(ctx, id).Execute()
		if err != nil {
			t.Fatalf("finding the IP %s: %v", id, err)
		}
		if (found.IPReservation != nil) != (id == reservation.GetId()) || (found.IPAssignment != nil) != (id == assignment.GetId()) {
			t.Errorf("the IP %s was taken for %+v", id, found)
		}
	}

	if _, err := c.BGPApi.RequestBgpConfig(ctx, server.ProjectID).BgpConfigRequestInput(
		metalv1.BgpConfigRequestInput{DeploymentType: "local", Asn: 65000, Md5: metalv1.PtrString("")}).Execute(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.BGPApi.FindBgpConfigByProject(ctx, server.ProjectID).Execute(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.DevicesApi.CreateBgpSession(ctx, device.GetId()).BGPSessionInput(
		metalv1.BGPSessionInput{AddressFamily: metalv1.BGPSESSIONINPUTADDRESSFAMILY_IPV4.Ptr()}).Execute(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.DevicesApi.GetBgpNeighborData(ctx, device.GetId()).Execute(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.UsersApi.FindCurrentUser(ctx).Execute(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.MetrosApi.FindMetros(ctx).Execute(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.FacilitiesApi.FindFacilities(ctx).Execute(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.PlansApi.FindPlans(ctx).Execute(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.OperatingSystemsApi.FindOperatingSystems(ctx).Execute(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ProjectsApi.FindProjects(ctx).Execute(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.EventsApi.FindDeviceEvents(ctx, device.GetId()).Execute(); err != nil {
		t.Fatal(err)
	}
	key, _, err := c.SSHKeysApi.CreateProjectSSHKey(ctx, server.ProjectID).SSHKeyCreateInput(
		metalv1.SSHKeyCreateInput{Label: metalv1.PtrString("x"), Key: metalv1.PtrString(testKey)}).Execute()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.SSHKeysApi.DeleteSSHKey(ctx, key.GetId()).Execute(); err != nil {
		t.Fatal(err)
	}

	if _, err := c.IPAddressesApi.DeleteIPAddress(ctx, assignment.GetId()).Execute(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DevicesApi.DeleteDevice(ctx, device.GetId()).Execute(); err != nil {
		t.Fatal(err)
	}
	waitGone(t, ours, device.GetId())
	_, answer, err := c.DevicesApi.FindDeviceById(ctx, device.GetId()).Execute()
	if err == nil || answer.StatusCode != http.StatusNotFound || !strings.Contains(err.Error(), "Not found") {
		t.Errorf("a device that is gone: %v, want 404", err)
	}
	answer, err = c.IncidentsApi.FindIncidents(ctx).Execute()
	if err == nil || answer.StatusCode != http.StatusNotImplemented {
		t.Errorf("an operation that is not implemented: %v, want 501", err)
	}
}

// TestPackngo uses the client of the time before the SDK, with and without
// the prefix in its base URL.
func TestPackngo(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	for name, base := range map[string]string{"with prefix": server.URL + "/", "without": strings.TrimSuffix(server.URL, "metal/v1")} {
		t.Run(name, func(t *testing.T) {
			c, err := packngo.NewClientWithBaseURL("test", server.Token, &http.Client{Transport: newChecker(t)}, base)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for range 12 {
				device, _, err := c.Devices.Create(&packngo.DeviceCreateRequest{
					ProjectID: server.ProjectID, Plan: "c3.small.x86", OS: "ubuntu_24_04", Metro: "sv", BillingCycle: "hourly",
				})
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, device.ID)
			}
			// The library follows next without its query, and so reads the
			// second page of 10 by counting from current_page.
			devices, _, err := c.Devices.List(server.ProjectID, nil)
			if err != nil || len(devices) != len(ids) {
				t.Fatalf("%d devices (%v), want %d over two pages", len(devices), err, len(ids))
			}
			reservation, _, err := c.ProjectIPs.Create(server.ProjectID, &packngo.IPReservationCreateRequest{
				Type: packngo.PublicIPv4, Quantity: 2, Metro: ptr("sv"), FailOnApprovalRequired: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			assignment, _, err := c.DeviceIPs.Assign(ids[0], &packngo.AddressStruct{Address: reservation.Network + "/32"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.DeviceIPs.Unassign(assignment.ID); err != nil {
				t.Fatal(err)
			}
			if _, err := c.ProjectIPs.Remove(reservation.ID); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.BGPConfig.Get(server.ProjectID, nil); err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if _, err := c.Devices.Delete(id, true); err != nil {
					t.Fatal(err)
				}
				waitForDevice(t, server.Client(t), id, func(_ *packet.Device, err error) bool { return packet.IsNotFound(err) })
			}
			var refusal *packngo.ErrorResponse
			if _, _, err := c.Devices.Get(ids[0], nil); !errors.As(err, &refusal) || refusal.Response.StatusCode != http.StatusNotFound {
				t.Errorf("a device that is gone: %v, want 404", err)
			}
		})
	}
	t.Run("wrong token", func(t *testing.T) {
		c, err := packngo.NewClientWithBaseURL("test", "wrong", &http.Client{Transport: newChecker(t)}, server.URL+"/")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Projects.List(nil); err == nil || !strings.Contains(err.Error(), "Invalid authentication token") {
			t.Errorf("a wrong token: %v", err)
		}
	})
}

func ptr[T any](value T) *T { return &value }
