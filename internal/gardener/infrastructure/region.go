package infrastructure

import (
	"context"
	"fmt"
	"strings"

	"github.com/packetyard/packetyard/internal/gardener/faults"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Locations is where the Packet API tells its metros and facilities; packet.Client is one.
type Locations interface {
	Metros(ctx context.Context) ([]packet.Metro, error)
	Facilities(ctx context.Context, options ...packet.QueryOption) ([]packet.Facility, error)
}

// Metro is the code of the metro that a region of Gardener stands for: the region itself, or the metro of the facility that it
// is named after, as regions were before there were metros (findMetros, findFacilities). An unknown region is an
// ERR_CONFIGURATION_PROBLEM.
func Metro(ctx context.Context, api Locations, region string) (string, error) {
	metros, err := api.Metros(ctx)
	if err != nil {
		return "", fmt.Errorf("listing the metros: %w", err)
	}
	var codes []string
	for _, metro := range metros {
		if strings.EqualFold(metro.Code, region) {
			return metro.Code, nil
		}
		codes = append(codes, metro.Code)
	}
	facilities, err := api.Facilities(ctx, packet.Include("metro"))
	if err != nil {
		return "", fmt.Errorf("listing the facilities: %w", err)
	}
	for _, facility := range facilities {
		if strings.EqualFold(facility.Code, region) && facility.Metro != nil && facility.Metro.Code != "" {
			return facility.Metro.Code, nil
		}
	}
	return "", faults.Configuration("spec.region %q is neither a metro of the Packet API (%s) nor one of its facilities", region, strings.Join(codes, ", "))
}
