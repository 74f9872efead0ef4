// Package clusterfile reads the file that `packetyard up` makes a cluster
// from, and says what is wrong with it before anything is created.
package clusterfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"
)

// File is a cluster file that was read and found good.
type File struct {
	// Name is the file's name, for messages.
	Name string
	// Cluster is the one cluster in the file.
	Cluster *clusterv1.Cluster

	objects []object
}

// object is one document of the file.
type object struct {
	line int
	// raw is what the user wrote, which is what will be applied. Typed values
	// would add fields that the user left to defaults.
	raw   *unstructured.Unstructured
	typed runtime.Object
}

func (o object) String() string {
	return fmt.Sprintf("%s %q", o.raw.GetKind(), o.raw.GetName())
}

// Parse reads a cluster file. Its error names every object and field that is
// wrong, not only the first.
func Parse(name string, content []byte, scheme *runtime.Scheme) (*File, error) {
	file := &File{Name: name}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var problems []error
	for _, document := range split(content) {
		parsed, err := parse(document, scheme, decoder)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		file.objects = append(file.objects, parsed)
	}
	// What refers to what can only be told when every document was read.
	if len(problems) == 0 {
		problems = file.validate()
	}
	if len(problems) > 0 {
		for i := range problems {
			problems[i] = fmt.Errorf("%s: %w", name, problems[i])
		}
		return nil, errors.Join(problems...)
	}
	return file, nil
}

type document struct {
	// line is the number of the document's first line in the file, from 1.
	line int
	text []byte
}

// split cuts a YAML stream at its separators and leaves out what is empty.
func split(content []byte) []document {
	var documents []document
	current := document{line: 1}
	flush := func(next int) {
		for _, line := range bytes.Split(current.text, []byte("\n")) {
			if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
				documents = append(documents, current)
				break
			}
		}
		current = document{line: next}
	}
	for i, line := range bytes.SplitAfter(content, []byte("\n")) {
		if text := strings.TrimRight(string(line), " \t\r\n"); text == "---" || strings.HasPrefix(text, "--- ") {
			flush(i + 2)
			continue
		}
		current.text = append(current.text, line...)
	}
	flush(0)
	return documents
}

func parse(document document, scheme *runtime.Scheme, decoder runtime.Decoder) (object, error) {
	// Empty lines in front make the YAML parser count lines as the file does.
	text := append(bytes.Repeat([]byte("\n"), document.line-1), document.text...)
	encoded, err := yaml.YAMLToJSON(text)
	if err != nil {
		return object{}, fmt.Errorf("the document at line %d is not YAML: %w", document.line, err)
	}
	raw := &unstructured.Unstructured{}
	if err := raw.UnmarshalJSON(encoded); err != nil {
		return object{}, fmt.Errorf("the document at line %d is not a Kubernetes object: it needs apiVersion and kind: %w", document.line, err)
	}
	parsed := object{line: document.line, raw: raw}
	typed, _, err := decoder.Decode(text, nil, nil)
	if err != nil {
		return object{}, fmt.Errorf("%s (line %d): %w", parsed, document.line, explain(err, raw, scheme))
	}
	parsed.typed = typed
	if raw.GetName() == "" {
		return object{}, fmt.Errorf("%s (line %d): metadata.name is missing", raw.GetKind(), document.line)
	}
	return parsed, nil
}

// explain turns a decoder's error into one that says what is allowed.
func explain(err error, raw *unstructured.Unstructured, scheme *runtime.Scheme) error {
	if runtime.IsNotRegisteredError(err) {
		var versions []string
		for known := range scheme.AllKnownTypes() {
			if known.Kind == raw.GetKind() && known.Version != runtime.APIVersionInternal {
				versions = append(versions, known.GroupVersion().String())
			}
		}
		if len(versions) > 0 {
			return fmt.Errorf("apiVersion %q does not have kind %s; it is in %s", raw.GetAPIVersion(), raw.GetKind(), strings.Join(versions, ", "))
		}
		return fmt.Errorf("kind %s of apiVersion %q is not known here; a cluster file holds Cluster API kinds, the Packet kinds and Kubernetes' own", raw.GetKind(), raw.GetAPIVersion())
	}
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		var fields []string
		for _, field := range strict.Errors() {
			fields = append(fields, field.Error())
		}
		return errors.New(strings.Join(fields, "; "))
	}
	return err
}

// Namespace is the namespace of the cluster.
func (f *File) Namespace() string {
	if f.Cluster.Namespace == "" {
		return metav1.NamespaceDefault
	}
	return f.Cluster.Namespace
}

// Replica is an object of the file that says how many machines it wants.
type Replica struct {
	Kind, APIVersion, Name string
	ControlPlane           bool
	// Count is what the file says, or what is the default.
	Count int32

	index int
}

// Replicas returns the objects that say how many machines they want.
func (f *File) Replicas() []Replica {
	var found []Replica
	add := func(i int, controlPlane bool, replicas *int32) {
		count := int32(1)
		if replicas != nil {
			count = *replicas
		}
		raw := f.objects[i].raw
		found = append(found, Replica{Kind: raw.GetKind(), APIVersion: raw.GetAPIVersion(), Name: raw.GetName(), ControlPlane: controlPlane, Count: count, index: i})
	}
	for i, object := range f.objects {
		switch typed := object.typed.(type) {
		case *controlplanev1.KubeadmControlPlane:
			add(i, true, typed.Spec.Replicas)
		case *clusterv1.MachineDeployment:
			add(i, false, typed.Spec.Replicas)
		case *clusterv1.MachineSet:
			add(i, false, typed.Spec.Replicas)
		}
	}
	return found
}

// SetReplicas changes how many machines an object of the file wants.
func (f *File) SetReplicas(replica Replica, count int32) error {
	target := f.objects[replica.index]
	switch typed := target.typed.(type) {
	case *controlplanev1.KubeadmControlPlane:
		typed.Spec.Replicas = &count
	case *clusterv1.MachineDeployment:
		typed.Spec.Replicas = &count
	case *clusterv1.MachineSet:
		typed.Spec.Replicas = &count
	}
	if err := unstructured.SetNestedField(target.raw.Object, int64(count), "spec", "replicas"); err != nil {
		return fmt.Errorf("setting the replicas of %s: %w", target, err)
	}
	return nil
}

// machines counts the Machines that stand in the file by themselves.
func (f *File) machines(controlPlane bool) int {
	count := 0
	for _, object := range f.objects {
		if machine, ok := object.typed.(*clusterv1.Machine); ok && isControlPlane(machine) == controlPlane {
			count++
		}
	}
	return count
}

func isControlPlane(machine *clusterv1.Machine) bool {
	_, ok := machine.Labels[clusterv1.MachineControlPlaneLabel]
	return ok
}

// ControlPlanes is how many control plane machines the file wants.
func (f *File) ControlPlanes() int { return f.count(true) }

// Workers is how many worker machines the file wants.
func (f *File) Workers() int { return f.count(false) }

func (f *File) count(controlPlane bool) int {
	count := f.machines(controlPlane)
	for _, replica := range f.Replicas() {
		if replica.ControlPlane == controlPlane {
			count += int(replica.Count)
		}
	}
	return count
}

// OverrideControlPlanes makes the file want count control plane machines.
func (f *File) OverrideControlPlanes(count int) error {
	if count < 1 {
		return fmt.Errorf("--control-planes %d: a cluster needs at least 1", count)
	}
	if count == f.ControlPlanes() {
		return nil
	}
	if f.machines(true) > 0 {
		return fmt.Errorf("--control-planes %d: %s has its control plane as %d Machine of its own, which cannot be scaled; use -f with a file that has a KubeadmControlPlane, such as example/cluster-kubeadmcontrolplane.yaml", count, f.Name, f.machines(true))
	}
	return f.override("--control-planes", true, count)
}

// OverrideWorkers makes the file want count worker machines.
func (f *File) OverrideWorkers(count int) error {
	if count < 0 {
		return fmt.Errorf("--workers %d: it cannot be negative", count)
	}
	if count == f.Workers() {
		return nil
	}
	return f.override("--workers", false, count-f.machines(false))
}

func (f *File) override(flag string, controlPlane bool, count int) error {
	var candidates []Replica
	var names []string
	for _, replica := range f.Replicas() {
		if replica.ControlPlane == controlPlane {
			candidates = append(candidates, replica)
			names = append(names, fmt.Sprintf("%s %q", replica.Kind, replica.Name))
		}
	}
	switch {
	case len(candidates) == 0:
		return fmt.Errorf("%s: %s has nothing that could be scaled", flag, f.Name)
	case len(candidates) > 1:
		return fmt.Errorf("%s: %s has %d things that could be scaled (%s); set the replicas in the file", flag, f.Name, len(candidates), strings.Join(names, ", "))
	case count < 0:
		return fmt.Errorf("%s: %s has more Machines of its own than that", flag, f.Name)
	}
	return f.SetReplicas(candidates[0], int32(count))
}

// Manifest is what to apply: the user's objects, with what was overridden.
func (f *File) Manifest() ([]byte, error) {
	var manifest bytes.Buffer
	for _, object := range f.objects {
		encoded, err := object.raw.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", object, err)
		}
		manifest.WriteString("---\n")
		manifest.Write(encoded)
	}
	return manifest.Bytes(), nil
}

// Objects are what Manifest writes, one by one.
func (f *File) Objects() []*unstructured.Unstructured {
	objects := make([]*unstructured.Unstructured, len(f.objects))
	for i, object := range f.objects {
		objects[i] = object.raw.DeepCopy()
	}
	return objects
}

func accessor(o object) metav1.Object {
	// Every kind that the decoder knows has metadata.
	found, err := meta.Accessor(o.typed)
	if err != nil {
		return o.raw
	}
	return found
}
