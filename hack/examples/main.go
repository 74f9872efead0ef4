// Command examples writes the example clusters and the templates of clusterctl
// from one source, cluster.yaml.tmpl, so that they cannot drift apart. It also
// copies the manifest of the cloud controller manager into each of them.
//
// It is run by `make generate`, in the root of the repository:
//
//	go run ./hack/examples
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed cluster.yaml.tmpl
var source string

//go:embed clusterclass.yaml.tmpl
var classSource string

// The scripts that machines bring along. clusterctl would take a shell variable
// in braces for its own.
var (
	//go:embed install-kubernetes.sh
	installScript string
	//go:embed install-kubernetes-flatcar.sh
	flatcarScript string
	//go:embed run-kube-vip.sh
	kubeVIPScript string
)

// ccmManifest is the one source of the cloud controller manager's manifest,
// relative to the root of the repository.
const ccmManifest = "deploy/ccm/packet-cloud-controller-manager.yaml"

// machine is what differs between the PacketMachines of one cluster.
type machine struct {
	MachineType     string
	OperatingSystem string
	Metro           string
	SSHKeys         string
}

// cluster is the input of cluster.yaml.tmpl. Every value is YAML text: a plain
// value in an example, a clusterctl variable in a template.
type cluster struct {
	Comment              []string
	Cluster              string
	KubernetesVersion    string
	PodCIDR              string
	ServiceCIDR          string
	ProjectID            string
	Metro                string
	KubeadmControlPlane  bool
	ControlPlaneReplicas string
	WorkerReplicas       string
	ControlPlane         machine
	Workers              machine

	// Class is the ClusterClass that the cluster is made of; its own objects are left out then.
	Class                                      string
	ControlPlaneReservation, WorkerReservation string
	// MachinePool has the workers in a pool instead of a MachineDeployment.
	MachinePool bool
	// HealthChecks replace machines that do not work.
	HealthChecks bool
	// Ignition is the format of user data that Flatcar reads.
	Ignition bool
	// Install is the script that installs Kubernetes; none if empty.
	Install string
	// KubeVIP is the script that runs kube-vip; none if empty.
	KubeVIP, KubeVIPVersion, MetadataURL string
	// Token brings the cluster's kubeadm token to the first master.
	Token bool

	CloudControllerManager string
}

// role is a cluster as one kind of its machines sees it.
type role struct {
	cluster
	OfControlPlane bool
}

// OnControlPlane is what the machines of the control plane see.
func (c cluster) OnControlPlane() role { return role{cluster: c, OfControlPlane: true} }

// OnWorkers is what the workers see: the token is not theirs.
func (c cluster) OnWorkers() role {
	c.Token = false
	return role{cluster: c}
}

// classMachines is what the ClusterClass says of one kind of machines. Its
// variables are the name and Plan, the name and Reservation.
type classMachines struct {
	Name, Description, Match string
}

// Reserved is the condition that the variable of the reservation is set.
func (m classMachines) Reserved() string {
	return "'{{ ne ." + m.Name + `Reservation "" }}'`
}

// ClassMachines are the kinds of machines of the ClusterClass.
func (c cluster) ClassMachines() []classMachines {
	return []classMachines{
		{"controlPlane", "control plane", "controlPlane: true"},
		{"worker", "workers", "machineDeploymentClass:\n  names: [worker]"},
	}
}

// InstallPath is where the script is that installs Kubernetes: /usr is read-only where Ignition is.
func (c cluster) InstallPath() string {
	if c.Ignition {
		return "/opt/bin/install-kubernetes"
	}
	return "/usr/local/bin/install-kubernetes"
}

const (
	kubernetesVersion = "v1.36.4"
	podCIDR           = "192.168.0.0/16"
	serviceCIDR       = "172.26.0.0/16"
	machineType       = "c3.small.x86"
	operatingSystem   = "ubuntu_24_04"
	metro             = "da"
	kubeVIPVersion    = "v1.2.2"
	metadataURL       = "http://metadata.packet.net"
	// class is the name of the ClusterClass, and of its file.
	class = "packet"
)

// example is a cluster that runs as it stands: no variable is left open, and
// the project is the one of the manager's credentials.
func example(kubeadmControlPlane bool, comment ...string) cluster {
	server := machine{MachineType: machineType, OperatingSystem: operatingSystem, Metro: metro}
	return cluster{
		Comment:              comment,
		Cluster:              "demo",
		KubernetesVersion:    kubernetesVersion,
		PodCIDR:              podCIDR,
		ServiceCIDR:          serviceCIDR,
		Metro:                metro,
		KubeadmControlPlane:  kubeadmControlPlane,
		Token:                !kubeadmControlPlane,
		ControlPlaneReplicas: "1",
		WorkerReplicas:       "2",
		ControlPlane:         server,
		Workers:              server,
	}
}

// clusterTemplate is the same cluster with the variables of clusterctl, under
// the names that users of the provider know.
func clusterTemplate(kubeadmControlPlane bool, comment ...string) cluster {
	server := func(typeVariable string) machine {
		return machine{
			MachineType:     variable(typeVariable, machineType),
			OperatingSystem: variable("NODE_OS", operatingSystem),
			Metro:           variable("METRO", metro),
			// clusterctl takes a default that is empty for none, and a variable without one for a required one.
			SSHKeys: "[" + variable("SSH_KEY", " ") + "]",
		}
	}
	return cluster{
		Comment:           comment,
		Cluster:           "${CLUSTER_NAME}",
		KubernetesVersion: variable("KUBERNETES_VERSION", kubernetesVersion),
		PodCIDR:           variable("POD_CIDR", podCIDR),
		ServiceCIDR:       variable("SERVICE_CIDR", serviceCIDR),
		// clusterctl takes a variable without a default for a required one.
		// An empty project is that of the credentials; a null would be refused
		// by `kubectl apply --server-side`.
		ProjectID:           variable("PROJECT_ID", `""`),
		Metro:               variable("METRO", metro),
		KubeadmControlPlane: kubeadmControlPlane,
		Token:               !kubeadmControlPlane,
		Install:             installScript,
		// clusterctl always sets these two, to 1 and 0 if it is not told.
		ControlPlaneReplicas: "${CONTROL_PLANE_MACHINE_COUNT}",
		WorkerReplicas:       "${WORKER_MACHINE_COUNT}",
		ControlPlane:         server("CONTROLPLANE_NODE_TYPE"),
		Workers:              server("WORKER_NODE_TYPE"),
	}
}

func variable(name, fallback string) string {
	return "${" + name + ":=" + fallback + "}"
}

// outputs lists every file this program writes, by its path in the repository.
func outputs() map[string]cluster {
	const generated = "Generated by hack/examples; edit hack/examples/cluster.yaml.tmpl and run: make generate"
	files := map[string]cluster{
		"example/cluster.yaml": example(false,
			generated,
			"",
			"A cluster with one master Machine and a MachineDeployment of two workers.",
			"In the bootstrap cluster: kubectl apply -f example/cluster.yaml"),
		"example/cluster-kubeadmcontrolplane.yaml": example(true,
			generated,
			"",
			"A cluster with a KubeadmControlPlane and a MachineDeployment of two workers.",
			"In the bootstrap cluster: kubectl apply -f example/cluster-kubeadmcontrolplane.yaml"),
	}
	for flavor, f := range flavors() {
		name, command := "templates/cluster-template.yaml", "clusterctl generate cluster NAME --worker-machine-count 2"
		if flavor != "" {
			name = "templates/cluster-template-" + flavor + ".yaml"
			command = "clusterctl generate cluster NAME --flavor " + flavor + " --worker-machine-count 2"
		}
		c := clusterTemplate(flavor != "machines", generated, "", f.comment, command)
		if f.change != nil {
			f.change(&c)
		}
		files[name] = c
	}
	return files
}

// flavor is one of clusterctl's templates.
type flavor struct {
	comment string
	// change makes the default template the flavor's; nothing to change if nil.
	change func(*cluster)
}

// flavors are the templates by the names of --flavor; the default has none.
func flavors() map[string]flavor {
	return map[string]flavor{
		"":         {comment: "The default template of clusterctl: a KubeadmControlPlane and a MachineDeployment."},
		"machines": {comment: "The template with one master Machine instead of a KubeadmControlPlane."},
		"ha": {
			comment: "The template with a control plane of three machines, and health checks that reboot or replace machines.",
			change: func(c *cluster) {
				// clusterctl sets CONTROL_PLANE_MACHINE_COUNT to 1 where nobody asks for more.
				c.ControlPlaneReplicas = variable("HA_CONTROL_PLANE_MACHINE_COUNT", "3")
				c.HealthChecks = true
			},
		},
		"kube-vip": {
			comment: "The template whose API server's address is announced by kube-vip, from all machines of the control plane.",
			change: func(c *cluster) {
				c.KubeVIP = kubeVIPScript
				c.KubeVIPVersion = variable("KUBE_VIP_VERSION", kubeVIPVersion)
				c.MetadataURL = variable("PACKET_METADATA_URL", metadataURL)
			},
		},
		"machinepool": {
			comment: "The template whose workers are a MachinePool instead of a MachineDeployment.",
			change:  func(c *cluster) { c.MachinePool = true },
		},
		"flatcar": {
			comment: "The template for Flatcar Container Linux, whose user data is Ignition.",
			change: func(c *cluster) {
				c.Ignition, c.Install = true, flatcarScript
				c.ControlPlane.OperatingSystem = variable("NODE_OS", "flatcar_stable")
				c.Workers.OperatingSystem = c.ControlPlane.OperatingSystem
			},
		},
		"clusterclass": {
			comment: "The template of a cluster whose ClusterClass is " + class + ", which is in clusterclass-" + class + ".yaml.",
			change: func(c *cluster) {
				c.Class = class
				c.ControlPlaneReservation = variable("CONTROLPLANE_HARDWARE_RESERVATION_ID", `""`)
				c.WorkerReservation = variable("WORKER_HARDWARE_RESERVATION_ID", `""`)
			},
		},
	}
}

// render returns the YAML of one cluster with the given manifest of the cloud
// controller manager inside.
func render(c cluster, manifest string) ([]byte, error) {
	// clusterctl substitutes variables in the whole template, also inside the
	// manifest, where one would be replaced with nothing without a word.
	if strings.Contains(manifest, "${") {
		return nil, fmt.Errorf("%s holds %q, which clusterctl would take for a variable", ccmManifest, "${")
	}
	c.CloudControllerManager = strings.TrimSpace(manifest)
	return execute(source, c)
}

// execute fills a template in, whose parts can be included.
func execute(source string, c cluster) ([]byte, error) {
	t := template.New("cluster")
	t.Funcs(template.FuncMap{
		"nindent": nindent,
		"include": func(name string, data any) (string, error) {
			var out strings.Builder
			err := t.ExecuteTemplate(&out, name, data)
			return out.String(), err
		},
	})
	if _, err := t.Parse(source); err != nil {
		return nil, fmt.Errorf("parsing the cluster template: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, c); err != nil {
		return nil, fmt.Errorf("rendering the cluster template: %w", err)
	}
	return out.Bytes(), nil
}

// nindent puts text on new lines, each indented by the given number of spaces;
// empty lines stay empty.
func nindent(spaces int, text string) string {
	var out strings.Builder
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		out.WriteByte('\n')
		if line != "" {
			out.WriteString(strings.Repeat(" ", spaces))
			out.WriteString(line)
		}
	}
	return out.String()
}

// generate returns every output for the repository at root, by path.
func generate(root string) (map[string][]byte, error) {
	manifest, err := os.ReadFile(filepath.Join(root, ccmManifest))
	if err != nil {
		return nil, fmt.Errorf("reading the manifest of the cloud controller manager: %w", err)
	}
	files := map[string][]byte{}
	for path, c := range outputs() {
		if files[path], err = render(c, string(manifest)); err != nil {
			return nil, fmt.Errorf("making %s: %w", path, err)
		}
	}
	// A ClusterClass has no variables of clusterctl, so it is made of the parts of the examples.
	c := example(true, "Generated by hack/examples; edit hack/examples/clusterclass.yaml.tmpl and run: make generate")
	c.Class, c.Install = class, installScript
	parts, _, found := strings.Cut(source, "{{ range .Comment }}")
	if !found {
		return nil, errors.New("the cluster template has no comment, which its parts end before")
	}
	path := "templates/clusterclass-" + class + ".yaml"
	if files[path], err = execute(parts+classSource, c); err != nil {
		return nil, fmt.Errorf("making %s: %w", path, err)
	}
	return files, nil
}

func run(root string) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	for path, content := range files {
		if err := os.WriteFile(filepath.Join(root, path), content, 0o644); err != nil {
			return fmt.Errorf("writing an example: %w", err)
		}
	}
	return nil
}

func main() {
	root := flag.String("root", ".", "The root of the repository.")
	flag.Parse()
	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "examples:", err)
		os.Exit(1)
	}
}
