package packet

import "context"

// The values of Plan.DeploymentTypes.
const (
	DeploymentOnDemand = "on_demand"
	DeploymentSpot     = "spot_market"
)

// Plan is a model of server, for example c3.small.x86.
type Plan struct {
	ID   string `json:"id,omitempty"`
	Href string `json:"href,omitempty"`
	// Name equals Slug; clients compare either with what users write.
	Name            string         `json:"name,omitempty"`
	Slug            string         `json:"slug,omitempty"`
	Description     string         `json:"description,omitempty"`
	Class           string         `json:"class,omitempty"`
	Line            string         `json:"line,omitempty"`
	Type            string         `json:"type,omitempty"`
	Legacy          bool           `json:"legacy,omitempty"`
	Categories      []string       `json:"categories,omitempty"`
	DeploymentTypes []string       `json:"deployment_types,omitempty"`
	Specs           *PlanSpecs     `json:"specs,omitempty"`
	Pricing         *PlanPricing   `json:"pricing,omitempty"`
	AvailableIn     []PlanLocation `json:"available_in,omitempty"`
	// AvailableInMetros refers to metros, AvailableIn to facilities.
	AvailableInMetros []PlanLocation `json:"available_in_metros,omitempty"`
}

// PlanList is the answer to listing plans, which has no pages.
type PlanList struct {
	Plans []Plan `json:"plans"`
}

// PlanLocation is a place where a plan is offered, with its price there where
// it differs.
type PlanLocation struct {
	Href  string       `json:"href"`
	Price *PlanPricing `json:"price,omitempty"`
}

// PlanPricing is in US dollars an hour.
type PlanPricing struct {
	Hour float64 `json:"hour"`
}

// PlanSpecs is what is in the server.
type PlanSpecs struct {
	CPUs     []PlanCPU     `json:"cpus,omitempty"`
	Memory   *PlanMemory   `json:"memory,omitempty"`
	Drives   []PlanDrive   `json:"drives,omitempty"`
	NICs     []PlanNIC     `json:"nics,omitempty"`
	Features *PlanFeatures `json:"features,omitempty"`
}

// PlanCPU counts sockets; the number of cores is in the text of Type.
type PlanCPU struct {
	Count int    `json:"count"`
	Type  string `json:"type"`
}

// PlanMemory has a text such as "32GB".
type PlanMemory struct {
	Total string `json:"total"`
}

// PlanDrive is a kind of drive and how many there are. Size is a text such as
// "480GB".
type PlanDrive struct {
	Count    int    `json:"count"`
	Type     string `json:"type"`
	Size     string `json:"size"`
	Category string `json:"category,omitempty"`
}

// PlanNIC is a kind of network card. Type is its speed, for example "10Gbps".
type PlanNIC struct {
	Count int    `json:"count"`
	Type  string `json:"type"`
}

// PlanFeatures are properties of the firmware.
type PlanFeatures struct {
	RAID bool `json:"raid"`
	TXT  bool `json:"txt"`
	UEFI bool `json:"uefi"`
	TPM  bool `json:"tpm,omitempty"`
}

// Plans lists all plans.
func (c *Client) Plans(ctx context.Context, options ...QueryOption) ([]Plan, error) {
	return listAll(ctx, c, listing[PlanList, Plan]{
		operation: "findPlans",
		path:      "/plans",
		query:     query(options),
		items:     func(l *PlanList) ([]Plan, *Meta) { return l.Plans, nil },
		id:        func(p *Plan) string { return p.ID },
	})
}
