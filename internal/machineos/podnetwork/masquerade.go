package podnetwork

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	// tableName is the packet filter's table with all that is ours.
	tableName = "packetyard-pods"
	// podMark marks packets that come from a pod, until they leave.
	podMark = 0x504f44
	// noDuplicateDetection is the flag of an address that is used at once.
	noDuplicateDetection = unix.IFA_F_NODAD
)

// masquerade gives what pods send by way of the uplink the machine's address.
// A packet on its way out no longer tells where it came in, hence the mark.
func masquerade(uplink string) error {
	filter, err := nftables.New()
	if err != nil {
		return fmt.Errorf("connecting with the packet filter: %w", err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: tableName}
	// Adding before deleting makes deleting succeed where there was none.
	filter.AddTable(table)
	filter.DelTable(table)
	filter.AddTable(table)
	in := filter.AddChain(&nftables.Chain{
		Name: "mark", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle,
	})
	filter.AddRule(&nftables.Rule{Table: table, Chain: in, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(linkPrefix)},
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(podMark)},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true},
	}})
	out := filter.AddChain(&nftables.Chain{
		Name: "masquerade", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, uplink)
	// A packet in a tunnel to pods of another machine hands its mark on to the
	// packet that carries it, which is the machine's own and has its address.
	past := filter.AddChain(&nftables.Chain{
		Name: "unmark", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityMangle,
	})
	filter.AddRule(&nftables.Rule{Table: table, Chain: past, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(podMark)},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: name},
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(0)},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true},
	}})
	filter.AddRule(&nftables.Rule{Table: table, Chain: out, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(podMark)},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
		&expr.Masq{},
	}})
	if err := filter.Flush(); err != nil {
		return fmt.Errorf("asking the packet filter (nftables) to give pods' traffic the machine's address: %w", err)
	}
	return nil
}
