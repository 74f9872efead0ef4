package main

import (
	"fmt"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/packetyard/packetyard/hack/checkout"
)

// nobody is whom the program runs as.
const nobody = 65532

// newIndex has an image for each platform.
func newIndex(s settings, state checkout.State) (v1.ImageIndex, error) {
	base, err := newLayer(baseEntries(s.data))
	if err != nil {
		return nil, fmt.Errorf("the layer below the program: %w", err)
	}
	labels := labelsOf(s, state)
	var addenda []mutate.IndexAddendum
	for _, b := range s.binaries {
		image, err := newImage(s, b, base, labels, state.Time)
		if err != nil {
			return nil, err
		}
		addenda = append(addenda, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &b.platform}})
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), addenda...)
	// Registries show the annotations of an index, and not the labels of its images.
	annotated, ok := mutate.Annotations(index, labels).(v1.ImageIndex)
	if !ok {
		return nil, fmt.Errorf("annotating an index gave a %T", annotated)
	}
	return annotated, nil
}

// newImage has the program, a user, the certificates by which HTTPS is
// verified, and a folder for what is kept.
func newImage(s settings, b platformProgram, base v1.Layer, labels map[string]string, created time.Time) (v1.Image, error) {
	program, err := readProgram(b)
	if err != nil {
		return nil, err
	}
	layer, err := newLayer([]entry{{name: s.program, mode: 0o755, data: program}})
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, base, layer); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = b.platform.OS, b.platform.Architecture
	config.Created = v1.Time{Time: created}
	config.Config = v1.Config{
		Entrypoint: []string{"/" + s.program},
		Cmd:        s.arguments,
		User:       fmt.Sprintf("%d:%d", nobody, nobody),
		WorkingDir: "/",
		Labels:     labels,
	}
	if s.data != "" {
		config.Config.WorkingDir = s.data
		config.Config.Volumes = map[string]struct{}{s.data: {}}
	}
	if s.port != "" {
		config.Config.ExposedPorts = map[string]struct{}{s.port: {}}
	}
	return mutate.ConfigFile(image, config)
}

// labelsOf are the keys of the image specification that are known:
// https://github.com/opencontainers/image-spec/blob/main/annotations.md
func labelsOf(s settings, state checkout.State) map[string]string {
	const key, home = "org.opencontainers.image.", "https://github.com/packetyard/packetyard"
	labels := map[string]string{
		key + "title":    s.program,
		key + "licenses": "Apache-2.0",
		key + "source":   home,
		key + "url":      home,
	}
	if s.title != "" {
		labels[key+"description"] = s.title
	}
	if state.Commit != "" {
		labels[key+"revision"] = state.Revision()
		labels[key+"version"] = state.Description
		labels[key+"created"] = state.Time.Format(time.RFC3339)
	}
	return labels
}

// baseEntries are what is the same in every image of ours with such a folder
// for data: registries and nodes keep it once.
func baseEntries(data string) []entry {
	home := "/"
	if data != "" {
		home = data
	}
	entries := []entry{
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, data: fmt.Appendf(nil, "nobody:x:%d:\n", nobody)},
		{name: "etc/passwd", mode: 0o644, data: fmt.Appendf(nil, "nobody:x:%d:%d:nobody:%s:/sbin/nologin\n", nobody, nobody, home)},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		// Where Go and everything else on Debian look.
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, data: certificates()},
		{name: "tmp/", mode: 0o1777},
	}
	if data != "" {
		entries = append(entries, entry{name: strings.TrimPrefix(path.Clean(data), "/") + "/", mode: 0o700, owner: nobody})
	}
	return entries
}
