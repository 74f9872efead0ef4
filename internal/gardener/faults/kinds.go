package faults

import (
	"regexp"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
)

// kind is one kind of error.
type kind struct {
	code gardencorev1beta1.ErrorCode
	// text is found in the errors of this kind.
	text *regexp.Regexp
	// advice is what the owner of the Shoot can do, empty where the text says it.
	advice string
}

// inUse has the texts by which the API refuses to delete what is in use.
var inUse = regexp.MustCompile(`Cannot delete Virtual Network|Cannot delete with associated|cannot be deleted while|Cannot delete a device while it is provisioning`)

// kinds are in the order in which they are looked for: the first one that is found counts. What says more goes first: a 503
// can mean that there are no servers left, and a 422 that there is no quota left.
var kinds = []kind{
	{
		gardencorev1beta1.ErrorInfraRateLimitsExceeded,
		regexp.MustCompile(`\b429 Too Many Requests|Rate limit exceeded`),
		"too many requests to the Packet API: wait a little, then retry the operation",
	},
	{
		// A proxy or load balancer says so. What it thinks of the token or the request means nothing.
		gardencorev1beta1.ErrorRetryableInfraDependencies,
		regexp.MustCompile(`\b5\d\d [A-Za-z -]+: the answer from`),
		"the Packet API is out of order or cannot be reached, it is tried again later",
	},
	{
		gardencorev1beta1.ErrorRetryableConfigurationProblem,
		regexp.MustCompile(`is not the Packet API's`),
		"something else than the Packet API answers at the address in the Secret's apiURL or the CloudProfile's",
	},
	{
		gardencorev1beta1.ErrorInfraUnauthenticated,
		regexp.MustCompile(`\b401 Unauthorized|Invalid authentication token|invalid credentials in Secret|reading the Secret .* not found`),
		"the Packet API does not accept the credentials: put a valid apiToken and the projectID into the Secret that the Shoot's credentials binding names, then retry the operation",
	},
	{
		gardencorev1beta1.ErrorInfraUnauthorized,
		regexp.MustCompile(`\b403 Forbidden|This token is read-only|` + projectOperations + `: 404 Not Found: Not found`),
		"the API token does not allow this: it must be able to read and write in the project that the Secret's projectID names",
	},
	{
		gardencorev1beta1.ErrorInfraQuotaExceeded,
		regexp.MustCompile(`over the project's quota|takes approval|quota (is )?exceeded`),
		"the quota of the project does not suffice: have it raised, or give something back",
	},
	{
		gardencorev1beta1.ErrorInfraResourcesDepleted,
		regexp.MustCompile(`no provisionable |not provisionable|provisionable \S+ servers that match|no available hardware reservations|no addresses left|spot_price_max \S+ is below the market's price|all numbers from \d+ to \d+ have been taken`),
		"the Packet API has none left of what is asked for: choose another machine type or region, or wait",
	},
	{gardencorev1beta1.ErrorRetryableInfraDependencies, inUse, "something else uses it still"},
	{
		gardencorev1beta1.ErrorInfraDependencies,
		regexp.MustCompile(`Cannot \w+ a device while it is locked`),
		"somebody has locked the device: unlock it in the Packet API",
	},
	{
		// The device is on its way from one state to another.
		gardencorev1beta1.ErrorRetryableInfraDependencies,
		regexp.MustCompile(`Cannot .* while (it|its device) is (queued|provisioning|deprovisioning|reinstalling|powering_)`),
		"",
	},
	{
		gardencorev1beta1.ErrorConfigurationProblem,
		regexp.MustCompile(`\b422 Unprocessable Entity|\b400 Bad Request|configuration problem: |reading (InfrastructureConfig|ControlPlaneConfig|WorkerConfig|CloudProfileConfig): `),
		"",
	},
	{
		gardencorev1beta1.ErrorRetryableInfraDependencies,
		regexp.MustCompile(`no answer from the API|\b5\d\d [A-Z][a-zA-Z-]+( [A-Z][a-zA-Z-]+)*: |\b408 Request Timeout`),
		"the Packet API is out of order or cannot be reached, it is tried again later",
	},
}

// projectOperations are those in whose answer "Not found" is said of the project.
const projectOperations = `(findProjectById|findProjectSSHKeys|createProjectSSHKey|findIPReservations|requestIPReservation|findVirtualNetworks|createVirtualNetwork|createDevice|findProjectDevices)`

func kindOf(text string) *kind {
	for n := range kinds {
		if kinds[n].text.MatchString(text) {
			return &kinds[n]
		}
	}
	return nil
}
