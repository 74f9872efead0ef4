package infrastructure

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	extensionsinfrastructure "github.com/gardener/gardener/extensions/pkg/controller/infrastructure"
	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/gardener/decode"
	"github.com/packetyard/packetyard/internal/gardener/faults"
	"github.com/packetyard/packetyard/pkg/packet"
)

// ConfigValidator checks an Infrastructure against the Packet API before anything is made: the account, the metro, the nodes'
// block and the number of the VLAN. It implements Gardener's ConfigValidator.
//
// What was found right once is not asked again, so that the reconciliation of a Shoot that is ready costs nothing here.
type ConfigValidator struct {
	kube      client.Reader
	connector *Connector
}

var _ extensionsinfrastructure.ConfigValidator = (*ConfigValidator)(nil)

// NewConfigValidator makes a ConfigValidator.
func NewConfigValidator(kube client.Reader, connector *Connector) *ConfigValidator {
	return &ConfigValidator{kube: kube, connector: connector}
}

// Validate returns what is wrong. Mistakes of the Shoot's owner are invalid fields; that something could not be found out is an
// internal error, whose text tells faults.KnownCodes its code.
func (v *ConfigValidator) Validate(ctx context.Context, infra *extensionsv1alpha1.Infrastructure) field.ErrorList {
	cluster, err := extensionscontroller.GetCluster(ctx, v.kube, infra.Namespace)
	if err != nil {
		return internal(field.NewPath("metadata", "namespace"), fmt.Errorf("reading the Cluster: %w", err))
	}
	s := scope{infra: infra, cluster: cluster, owner: OwnerOf(infra.Namespace, cluster)}
	at := field.NewPath("spec", "providerConfig")
	if _, err := decode.InfrastructureConfig(infra.Spec.ProviderConfig); err != nil {
		return field.ErrorList{field.Invalid(at, "(not shown)", err.Error())}
	}
	if err := s.read(); err != nil {
		return internal(field.NewPath("status"), err)
	}
	api, credentials, err := v.connector.Connect(ctx, infra.Spec.SecretRef, cluster)
	if err != nil {
		return internal(field.NewPath("spec", "secretRef"), err)
	}
	s.api, s.project = api, credentials.ProjectID
	if problems := s.checkPlace(ctx); len(problems) > 0 {
		return problems
	}
	return append(s.checkNodes(ctx, at.Child("networks", "nodes")), s.checkVLAN(ctx, at.Child("networks", "vlan", "vxlan"))...)
}

// checkPlace checks the project and the region (findProjectById, findMetros, findFacilities).
func (s *scope) checkPlace(ctx context.Context) field.ErrorList {
	if s.state.Metro != "" {
		return nil
	}
	if _, err := s.api.Project(ctx, s.project); err != nil {
		return internal(field.NewPath("spec", "secretRef"), fmt.Errorf("reading the project %s: %w", s.project, err))
	}
	metro, err := Metro(ctx, s.api, s.infra.Spec.Region)
	if err != nil {
		at := field.NewPath("spec", "region")
		if isConfiguration(err) {
			return field.ErrorList{field.Invalid(at, s.infra.Spec.Region, err.Error())}
		}
		return internal(at, err)
	}
	s.state.Metro = metro
	return nil
}

// checkNodes checks that the project has the addresses that the nodes are to have (findIPReservations).
func (s *scope) checkNodes(ctx context.Context, at *field.Path) field.ErrorList {
	if s.config.Networks == nil || s.config.Networks.Nodes == nil {
		return nil
	}
	text := *s.config.Networks.Nodes
	if s.status.Networks != nil && slices.Contains(s.status.Networks.Nodes, text) {
		return nil
	}
	wanted, err := netip.ParsePrefix(text)
	if err != nil || wanted != wanted.Masked() {
		return field.ErrorList{field.Invalid(at, text, "must be a block of addresses, such as 10.64.12.0/25")}
	}
	if err := s.listBlocks(ctx); err != nil {
		return internal(at, err)
	}
	var have []string
	for _, block := range s.blocks {
		prefix, ok := cidr(block)
		if !ok || !inMetro(block, s.state.Metro) {
			continue
		}
		if prefix.Bits() <= wanted.Bits() && prefix.Contains(wanted.Addr()) {
			return nil
		}
		have = append(have, prefix.String())
	}
	if len(have) == 0 {
		have = []string{"none"}
	}
	return field.ErrorList{field.Invalid(at, text, fmt.Sprintf("must be a private block that the project has in metro %s: %s", s.state.Metro, strings.Join(have, ", ")))}
}

// checkVLAN checks that the number of the Shoot's VLAN is free (findVirtualNetworks).
func (s *scope) checkVLAN(ctx context.Context, at *field.Path) field.ErrorList {
	if s.config.Networks == nil || s.config.Networks.VLAN == nil || s.config.Networks.VLAN.VXLAN == nil || s.state.VLANID != "" {
		return nil
	}
	number := *s.config.Networks.VLAN.VXLAN
	networks, err := s.api.VirtualNetworks(ctx, s.project)
	if err != nil {
		return internal(at, fmt.Errorf("listing the VLANs of the project: %w", err))
	}
	n := slices.IndexFunc(networks, func(v packet.VirtualNetwork) bool {
		return v.VXLAN == int(number) && v.MetroCode == s.state.Metro && !s.owner.Has(v.Tags)
	})
	if n < 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, number, fmt.Sprintf("is the number of another VLAN of the project in metro %s (%s, %q): choose another number or none",
		s.state.Metro, networks[n].ID, networks[n].Description))}
}

// internal tells that something could not be found out, and what the Shoot's owner can do about it.
func internal(at *field.Path, err error) field.ErrorList {
	return field.ErrorList{field.InternalError(at, faults.Coded(err))}
}

func isConfiguration(err error) bool {
	var coder v1beta1helper.Coder
	return errors.As(err, &coder)
}
