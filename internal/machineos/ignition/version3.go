package ignition

import (
	"fmt"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_6"
	"github.com/coreos/ignition/v2/config/v3_6/types"
)

// parse3 reads a document of version 3.
func parse3(document []byte) (types.Config, []string, error) {
	parsed, report, err := v3_6.ParseCompatibleVersion(document)
	var warnings []string
	for _, entry := range report.Entries {
		warnings = append(warnings, entry.String())
	}
	if err != nil {
		return parsed, nil, fmt.Errorf("the Ignition document is invalid: %w: %s", err, strings.Join(warnings, "; "))
	}
	return parsed, warnings, nil
}

// convert3 puts a document of version 3 into our words.
func convert3(c types.Config) *config {
	result := &config{}
	for i, one := range c.Storage.Disks {
		result.simulate("storage.disks[%d] (%s)", i, one.Device)
	}
	for i, one := range c.Storage.Raid {
		result.simulate("storage.raid[%d] (%s)", i, one.Name)
	}
	for i, one := range c.Storage.Luks {
		result.simulate("storage.luks[%d] (%s)", i, one.Name)
	}
	for i, one := range c.Storage.Filesystems {
		result.simulate("storage.filesystems[%d] (%s)", i, one.Device)
		if one.Path != nil && *one.Path != "" && deref(one.Format) != "swap" {
			// Its files go to a directory of the machine's one disk.
			result.directories = append(result.directories, directory{node{field: fmt.Sprintf("storage.filesystems[%d].path", i), path: *one.Path}})
		}
	}
	if len(c.KernelArguments.ShouldExist)+len(c.KernelArguments.ShouldNotExist) > 0 {
		result.simulate("kernelArguments")
	}
	for i, one := range c.Storage.Directories {
		result.directories = append(result.directories, directory{node3(fmt.Sprintf("storage.directories[%d]", i), one.Node, one.Mode)})
	}
	for i, one := range c.Storage.Files {
		added := file{node: node3(fmt.Sprintf("storage.files[%d]", i), one.Node, one.Mode)}
		if one.Contents.Source != nil {
			contents := resource3(added.field+".contents", one.Contents)
			added.contents = &contents
		}
		for j, more := range one.Append {
			added.appended = append(added.appended, resource3(fmt.Sprintf("%s.append[%d]", added.field, j), more))
		}
		result.files = append(result.files, added)
	}
	for i, one := range c.Storage.Links {
		result.links = append(result.links, link{
			node: node3(fmt.Sprintf("storage.links[%d]", i), one.Node, nil), target: deref(one.Target), hard: deref(one.Hard),
		})
	}
	for i, one := range c.Passwd.Groups {
		if one.ShouldExist == nil || *one.ShouldExist {
			result.groups = append(result.groups, group{field: fmt.Sprintf("passwd.groups[%d]", i), name: one.Name, id: one.Gid})
		}
	}
	for i, one := range c.Passwd.Users {
		added := user{
			field: fmt.Sprintf("passwd.users[%d]", i), name: one.Name, gecos: deref(one.Gecos), home: deref(one.HomeDir), shell: deref(one.Shell),
			primaryGroup: deref(one.PrimaryGroup), id: one.UID, noHome: deref(one.NoCreateHome), removed: one.ShouldExist != nil && !*one.ShouldExist,
		}
		for _, name := range one.Groups {
			added.groups = append(added.groups, string(name))
		}
		for _, key := range one.SSHAuthorizedKeys {
			added.keys = append(added.keys, string(key))
		}
		result.users = append(result.users, added)
	}
	for i, one := range c.Systemd.Units {
		added := unit{
			field: fmt.Sprintf("systemd.units[%d]", i), name: one.Name, contents: one.Contents, dropIns: map[string]string{}, enabled: one.Enabled, mask: deref(one.Mask),
		}
		for _, dropIn := range one.Dropins {
			added.dropIns[dropIn.Name] = deref(dropIn.Contents)
		}
		result.units = append(result.units, added)
	}
	return result
}

func node3(field string, n types.Node, mode *int) node {
	return node{
		field: field, path: n.Path, mode: mode, overwrite: n.Overwrite,
		owner: ownerOf(deref(n.User.Name), n.User.ID, deref(n.Group.Name), n.Group.ID),
	}
}

func resource3(field string, r types.Resource) resource {
	converted := resource{field: field, source: deref(r.Source), compression: deref(r.Compression), hash: deref(r.Verification.Hash), headers: map[string]string{}}
	for _, header := range r.HTTPHeaders {
		converted.headers[header.Name] = deref(header.Value)
	}
	return converted
}
