package cri

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/packetyard/packetyard/internal/machineos/kubernetes"
)

// kubeImages are the images whose program is the machine image's kube, in the
// version that their tag names.
var kubeImages = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"}

// etcdImage has tags of its own, and every kube is an etcd.
const etcdImage = "etcd"

// hollowSize is the size of an image with nothing in it; the kubelet takes 0
// for a fault.
const hollowSize = 4096

// images remembers which images were pulled. Pulling is nothing but that.
type images struct {
	directory  string
	kubernetes kubernetes.Image

	mu   sync.Mutex
	byID map[string]image
}

type image struct {
	id string
	// reference is the full name with its tag or digest.
	reference string
}

func newImages(directory string) *images {
	return &images{directory: directory, kubernetes: kubernetes.Image{Directory: directory}, byID: make(map[string]image)}
}

// executable returns the program of a known image, by the image's name. A
// Kubernetes image of a version that the machine image does not have is not known.
func (i *images) executable(reference string) (name, file string, known bool) {
	name = imageName(reference)
	if name == etcdImage {
		file, err := i.kubernetes.Executable("")
		return name, file, err == nil
	}
	if slices.Contains(kubeImages, name) {
		file, err := i.kubernetes.Tagged(imageTag(reference))
		return name, file, err == nil
	}
	file = filepath.Join(i.directory, "images", name)
	info, err := os.Stat(file)
	if name == "" || err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return "", "", false
	}
	return name, file, true
}

// imageName is the last path element without tag and digest.
func imageName(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	name, _, _ := strings.Cut(path.Base(reference), ":")
	if name == "." || name == ".." || name == "/" {
		return ""
	}
	return name
}

// imageTag is the tag of a reference, empty where it has none.
func imageTag(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	_, tag, _ := strings.Cut(path.Base(reference), ":")
	return tag
}

// available tells why an image cannot be pulled: of all images there are, only
// those of Kubernetes versions that the machine image lacks.
func (i *images) available(reference string) error {
	if !slices.Contains(kubeImages, imageName(reference)) {
		return nil
	}
	if _, err := i.kubernetes.Tagged(imageTag(reference)); err != nil {
		return status.Errorf(codes.NotFound, "failed to pull and unpack image %q: not found: %v", fullReference(reference), err)
	}
	return nil
}

// newImage gives an image its full name and an id, which for an image that
// does not exist is made of its name.
func newImage(reference string) image {
	full := fullReference(reference)
	if _, digest, found := strings.Cut(full, "@"); found {
		return image{id: digest, reference: full}
	}
	sum := sha256.Sum256([]byte(full))
	return image{id: "sha256:" + hex.EncodeToString(sum[:]), reference: full}
}

// fullReference adds what Docker's short names leave out.
func fullReference(reference string) string {
	domain, rest, found := strings.Cut(reference, "/")
	if !found || (!strings.ContainsAny(domain, ".:") && domain != "localhost") {
		rest = reference
		domain = "docker.io"
		if !found {
			rest = "library/" + reference
		}
	}
	if !strings.Contains(rest, "@") && !strings.Contains(path.Base(rest), ":") {
		rest += ":latest"
	}
	return domain + "/" + rest
}

// find looks an image up by its id or any form of its name. The known images
// are always there: they came with the machine.
func (i *images) find(reference string) (image, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if found, ok := i.byID[reference]; ok {
		return found, true
	}
	if found, ok := i.byID["sha256:"+reference]; ok {
		return found, true
	}
	wanted := newImage(reference)
	if found, ok := i.byID[wanted.id]; ok {
		return found, true
	}
	if strings.HasPrefix(reference, "sha256:") {
		return image{}, false
	}
	if _, _, known := i.executable(reference); known {
		i.byID[wanted.id] = wanted
		return wanted, true
	}
	return image{}, false
}

func (i *images) pull(reference string) image {
	i.mu.Lock()
	defer i.mu.Unlock()
	pulled := newImage(reference)
	i.byID[pulled.id] = pulled
	return pulled
}

func (i *images) remove(reference string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.byID, reference)
	delete(i.byID, newImage(reference).id)
}

func (i *images) list() []image {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := make([]image, 0, len(i.byID))
	for _, one := range i.byID {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b image) int { return cmp.Compare(a.reference, b.reference) })
	return all
}

// message is the image in the terms of the interface. It names no user, so
// that the kubelet does not take it for one that runs as root.
func (i *images) message(one image) *runtimeapi.Image {
	size := uint64(hollowSize)
	if _, file, known := i.executable(one.reference); known {
		if info, err := os.Stat(file); err == nil && info.Size() > 0 {
			size = uint64(info.Size())
		}
	}
	message := &runtimeapi.Image{Id: one.id, Size: size, Spec: &runtimeapi.ImageSpec{Image: one.reference}}
	if strings.Contains(one.reference, "@") {
		message.RepoDigests = []string{one.reference}
		return message
	}
	message.RepoTags = []string{one.reference}
	message.RepoDigests = []string{one.repository() + "@" + one.id}
	return message
}

// repository is the name without tag and digest.
func (o image) repository() string {
	name, _, _ := strings.Cut(o.reference, "@")
	base := path.Base(name)
	if colon := strings.LastIndex(base, ":"); colon >= 0 {
		name = name[:len(name)-(len(base)-colon)]
	}
	return name
}

// digestReference is the name with the digest, as container status has it.
func (o image) digestReference() string { return o.repository() + "@" + o.id }

// ListImages implements the image service.
func (s *Server) ListImages(_ context.Context, request *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	response := &runtimeapi.ListImagesResponse{}
	if wanted := request.GetFilter().GetImage().GetImage(); wanted != "" {
		if one, found := s.images.find(wanted); found {
			response.Images = append(response.Images, s.images.message(one))
		}
		return response, nil
	}
	for _, one := range s.images.list() {
		response.Images = append(response.Images, s.images.message(one))
	}
	return response, nil
}

// ImageStatus implements the image service. No image is no error.
func (s *Server) ImageStatus(_ context.Context, request *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	response := &runtimeapi.ImageStatusResponse{}
	if one, found := s.images.find(request.GetImage().GetImage()); found {
		response.Image = s.images.message(one)
	}
	return response, nil
}

// PullImage implements the image service. Every image can be had, at once, but
// for those of Kubernetes versions that the machine image does not have.
func (s *Server) PullImage(_ context.Context, request *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	reference := request.GetImage().GetImage()
	if imageName(reference) == "" {
		return nil, status.Errorf(codes.InvalidArgument, "image.image is %q, it must be the name of an image", reference)
	}
	if err := s.images.available(reference); err != nil {
		return nil, err
	}
	return &runtimeapi.PullImageResponse{ImageRef: s.images.pull(reference).id}, nil
}

// RemoveImage implements the image service.
func (s *Server) RemoveImage(_ context.Context, request *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error) {
	s.images.remove(request.GetImage().GetImage())
	return &runtimeapi.RemoveImageResponse{}, nil
}

// ImageFsInfo implements the image service.
func (s *Server) ImageFsInfo(context.Context, *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error) {
	usage := func() []*runtimeapi.FilesystemUsage {
		return []*runtimeapi.FilesystemUsage{{
			Timestamp:  s.config.Now().UnixNano(),
			FsId:       &runtimeapi.FilesystemIdentifier{Mountpoint: s.config.StateDirectory},
			UsedBytes:  &runtimeapi.UInt64Value{},
			InodesUsed: &runtimeapi.UInt64Value{},
		}}
	}
	return &runtimeapi.ImageFsInfoResponse{ImageFilesystems: usage(), ContainerFilesystems: usage()}, nil
}
