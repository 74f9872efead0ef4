package yard

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Print writes the status for people: the parts, and a table with devices,
// Machines and nodes side by side.
func (s *Status) Print(out io.Writer) error {
	parts := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, part := range s.Parts {
		state := "up"
		if !part.Up {
			state = "DOWN"
		}
		fmt.Fprintf(parts, "%s\t%s\t%s\n", part.Name, state, part.Detail)
	}
	if err := parts.Flush(); err != nil {
		return fmt.Errorf("printing the status: %w", err)
	}
	if len(s.Machines) == 0 {
		fmt.Fprintln(out, "\nThere are no machines.")
		return nil
	}
	fmt.Fprintln(out)
	return s.PrintMachines(out)
}

// PrintMachines writes the table alone.
func (s *Status) PrintMachines(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DEVICE\tSTATE\tPLAN\tADDRESS\tPOWER\tMEMORY\tCLUSTER\tMACHINE\tPHASE\tNODE\tREADY\tVERSION")
	for _, machine := range s.Machines {
		device, power, clusterMachine, node := machine.Device, machine.Power, machine.Machine, machine.Node
		row := []any{"-", "-", "-", "-", "-", "-", dash(machine.cluster()), "-", "-", "-", "-", "-"}
		if device != nil {
			row[0], row[1], row[2] = device.Hostname, device.State, dash(device.Plan)
			if len(device.Addresses) > 0 {
				row[3] = device.Addresses[0]
			}
		}
		if power != nil {
			row[4] = power.Power
			if device == nil {
				row[0] = power.Hostname
			}
			if power.MemoryBytes > 0 {
				row[5] = fmt.Sprintf("%d MiB", power.MemoryBytes>>20)
			}
		}
		if clusterMachine != nil {
			row[7], row[8] = clusterMachine.Name, clusterMachine.Phase
		}
		if node != nil {
			row[9], row[10], row[11] = node.Name, readiness(*node), node.Version
		}
		for i, cell := range row {
			separator := "\t"
			if i == len(row)-1 {
				separator = "\n"
			}
			fmt.Fprint(table, cell, separator)
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the machines: %w", err)
	}
	return nil
}

func readiness(node NodeStatus) string {
	switch {
	case !node.Ready:
		return "no"
	case !node.Initialized:
		return "not initialised"
	}
	return "yes"
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
