package apiserver_test

import (
	"context"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	metalv1 "github.com/equinix/equinix-sdk-go/services/metalv1"
	"github.com/google/uuid"
	"github.com/packethost/packngo"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// A scenario drives the operations of one area with the clients of its rig,
// to success and to failure. It runs against a server of its own.
type scenario func(t *testing.T, r *rig)

// scenarios are all scenarios, by area.
func scenarios() map[string]scenario {
	all := map[string]scenario{}
	for _, area := range []map[string]scenario{
		catalogueScenarios(),
		identityScenarios(),
		deviceScenarios(),
		supplyScenarios(),
		usageScenarios(),
		spotScenarios(),
		addressScenarios(),
		bgpScenarios(),
		networkScenarios(),
	} {
		maps.Copy(all, area)
	}
	return all
}

// The clients that the API is known by.
const (
	bySDK     = "the official SDK"
	byPackngo = "packngo"
)

// rig is a server with the clients that people used, each of whose answers is
// checked against the API's document and remembered.
type rig struct {
	server *apiservertest.Server
	// project is the first one of the server.
	project string
	sdk     *metalv1.APIClient
	packngo *packngo.Client
	// ours is for what a scenario needs beside what it is about.
	ours *packet.Client

	record *record
}

func newRig(t testing.TB, record *record, options apiservertest.Options) *rig {
	t.Helper()
	server := apiservertest.Start(t, options)
	r := &rig{server: server, project: server.ProjectID, ours: server.Client(t), record: record}
	r.sdk = r.sdkWith(t, server.Token)
	r.packngo = r.packngoWith(t, server.Token)
	return r
}

// sdkWith is the official SDK with another token.
func (r *rig) sdkWith(t testing.TB, token string) *metalv1.APIClient {
	configuration := metalv1.NewConfiguration()
	configuration.Servers = metalv1.ServerConfigurations{{URL: r.server.URL}}
	configuration.AddDefaultHeader("X-Auth-Token", token)
	configuration.HTTPClient = r.httpClient(t, bySDK)
	return metalv1.NewAPIClient(configuration)
}

// packngoWith is packngo with another token.
func (r *rig) packngoWith(t testing.TB, token string) *packngo.Client {
	t.Helper()
	c, err := packngo.NewClientWithBaseURL("test", token, r.httpClient(t, byPackngo), r.server.URL+"/")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (r *rig) httpClient(t testing.TB, name string) *http.Client {
	check := newChecker(t)
	check.saw = func(operation string, status int) { r.record.add(name, operation, status) }
	return &http.Client{Transport: check}
}

// record remembers which client had which operation succeed and fail.
type record struct {
	mu   sync.Mutex
	seen map[outcome]int
}

type outcome struct {
	client, operation string
	succeeded         bool
}

func newRecord() *record { return &record{seen: map[outcome]int{}} }

func (r *record) add(client, operation string, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[outcome{client, operation, status < 400}]++
}

func (r *record) has(client, operation string, succeeded bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[outcome{client, operation, succeeded}] > 0
}

// TestConformance drives every implemented operation with the official SDK,
// and with packngo where that has it, to success and to failure. An operation
// that no scenario drives fails the test.
func TestConformance(t *testing.T) {
	record := newRecord()
	for _, name := range slices.Sorted(maps.Keys(scenarios())) {
		t.Run(name, func(t *testing.T) {
			scenarios()[name](t, newRig(t, record, apiservertest.Options{}))
		})
	}
	t.Run("refusals", func(t *testing.T) { refusals(t, newRig(t, record, apiservertest.Options{})) })

	for _, route := range apiserver.Routes() {
		if !route.Implemented() {
			continue
		}
		name := route.Operation
		if !record.has(bySDK, name, true) && !sdkLacks()[name] {
			t.Errorf("%s (%s %s): no scenario has the official SDK succeed with it", name, route.Method, route.Path)
		}
		if !record.has(bySDK, name, false) && !sdkLacks()[name] {
			t.Errorf("%s (%s %s): no scenario has the official SDK fail with it", name, route.Method, route.Path)
		}
		if packngoHas()[name] && !record.has(byPackngo, name, true) {
			t.Errorf("%s (%s %s): no scenario has packngo succeed with it", name, route.Method, route.Path)
		}
	}
}

// refusals calls every operation that needs no body once without a valid
// token and once, where it takes an ID, with one that does not exist. What
// needs a body, the scenarios have refused.
func refusals(t *testing.T, r *rig) {
	wrong := r.sdkWith(t, "wrong")
	for _, route := range apiserver.Routes() {
		if !route.Implemented() || sdkLacks()[route.Operation] {
			continue
		}
		if status := callBlindly(t.Context(), wrong, route.Operation); status != 0 && status != http.StatusUnauthorized {
			t.Errorf("%s with a wrong token: %d, want 401", route.Operation, status)
		}
		if !strings.Contains(route.Path, "{") {
			continue
		}
		if status := callBlindly(t.Context(), r.sdk, route.Operation); status != 0 && status != http.StatusNotFound {
			t.Errorf("%s with an ID that does not exist: %d, want 404", route.Operation, status)
		}
	}
}

// callBlindly has the SDK call an operation with IDs that do not exist, and
// returns the status of the answer, 0 where the SDK does not send a request
// without a body.
func callBlindly(ctx context.Context, c *metalv1.APIClient, operation string) int {
	services := reflect.ValueOf(c).Elem()
	name := strings.ToUpper(operation[:1]) + operation[1:]
	for i := range services.NumField() {
		if services.Type().Field(i).PkgPath != "" {
			continue
		}
		method := services.Field(i).MethodByName(name)
		if !method.IsValid() {
			continue
		}
		arguments := []reflect.Value{reflect.ValueOf(ctx)}
		for j := 1; j < method.Type().NumIn(); j++ {
			if method.Type().In(j).Kind() != reflect.String {
				return 0
			}
			arguments = append(arguments, reflect.ValueOf(uuid.NewString()))
		}
		results := method.Call(arguments)[0].MethodByName("Execute").Call(nil)
		for _, result := range results {
			if answer, ok := result.Interface().(*http.Response); ok && answer != nil {
				return answer.StatusCode
			}
		}
		return 0
	}
	return 0
}

// sdkLacks are the implemented operations for which the SDK has no method.
func sdkLacks() map[string]bool {
	return map[string]bool{
		// The document gives it no name, so the generator made none.
		"findBgpDynamicNeighborById": true,
	}
}

// packngoHas are the operations that packngo has a method for.
func packngoHas() map[string]bool {
	has := map[string]bool{}
	for _, operation := range []string{
		"createDevice", "findDeviceById", "findProjectDevices", "updateDevice", "deleteDevice", "performAction", "findDeviceEvents",
		"findInstanceBandwidth", "createBgpSession", "findBgpSessions", "getBgpNeighborData", "createIPAssignment", "findIPAssignments",
		"findIPReservations", "requestIPReservation", "findIPAddressById", "deleteIPAddress", "updateIPAddress", "findIPAvailabilities",
		"findBgpConfigByProject", "requestBgpConfig", "findProjectBgpSessions", "findBgpSessionById", "deleteBgpSession",
		"findProjects", "findProjectById", "createProject", "updateProject", "deleteProject", "findProjectEvents",
		"findOrganizations", "findOrganizationById", "createOrganization", "updateOrganization", "deleteOrganization",
		"findOrganizationEvents", "findCurrentUser", "updateCurrentUser", "findUsers", "findUserById",
		"findAPIKeys", "createAPIKey", "deleteUserAPIKey", "findProjectAPIKeys", "createProjectAPIKey",
		"findSSHKeys", "createSSHKey", "findSSHKeyById", "updateSSHKey", "deleteSSHKey", "findProjectSSHKeys", "createProjectSSHKey",
		"findEvents", "findEventById", "findPlans", "findPlansByProject", "findPlansByOrganization", "findOperatingSystems",
		"findFacilities", "findMetros", "findCapacityForFacility", "findCapacityForMetro", "checkCapacityForFacility", "checkCapacityForMetro",
		"findProjectHardwareReservations", "findHardwareReservationById", "moveHardwareReservation",
		"findSpotMarketPrices", "findMetroSpotMarketPrices",
		"listSpotMarketRequests", "createSpotMarketRequest", "findSpotMarketRequestById", "deleteSpotMarketRequest",
		"createDeviceBatch", "findBatchById", "findBatchesByProject", "deleteBatch",
		"findVirtualNetworks", "createVirtualNetwork", "getVirtualNetwork", "deleteVirtualNetwork",
		"findPortById", "assignPort", "unassignPort", "bondPort", "disbondPort", "convertLayer2", "convertLayer3",
		"assignNativeVlan", "deleteNativeVlan", "findPortVlanAssignments", "findPortVlanAssignmentByPortIdAndAssignmentId",
		"findPortVlanAssignmentBatches", "createPortVlanAssignmentBatch", "findPortVlanAssignmentBatchByPortIdAndBatchId",
		"findMetalGatewaysByProject", "createMetalGateway", "findMetalGatewayById", "deleteMetalGateway",
		"findVrfs", "createVrf", "findVrfById", "deleteVrf",
	} {
		has[operation] = true
	}
	return has
}
