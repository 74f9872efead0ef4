package cloudinit

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

// maxUnpacked bounds compressed user data.
const maxUnpacked = 16 << 20

// kind is what a part of user data is.
type kind string

const (
	kindCloudConfig kind = "cloud-config"
	kindScript      kind = "script"
	kindBoothook    kind = "boothook"
	kindIgnition    kind = "Ignition"
)

// part is one document of user data.
type part struct {
	name    string
	kind    kind
	content []byte
}

// contentTypes are those of multipart user data that say more than "text".
var contentTypes = map[string]kind{
	"text/cloud-config":               kindCloudConfig,
	"text/x-shellscript":              kindScript,
	"text/x-shellscript-per-boot":     kindScript,
	"text/x-shellscript-per-instance": kindScript,
	"text/x-shellscript-per-once":     kindScript,
	"text/cloud-boothook":             kindBoothook,
}

// parse takes user data apart into its documents.
func parse(userData []byte, variables map[string]string) ([]part, error) {
	p := parser{variables: variables}
	if err := p.document("user-data", "", userData); err != nil {
		return nil, err
	}
	return p.parts, nil
}

type parser struct {
	variables map[string]string
	parts     []part
	depth     int
}

// maxDepth bounds how often an archive may hold archives.
const maxDepth = 8

// document adds one document, whose kind is its content type's where that
// says any.
func (p *parser) document(name string, contentKind kind, content []byte) error {
	if p.depth++; p.depth > maxDepth {
		return fmt.Errorf("user data part %s is nested more than %d deep", name, maxDepth)
	}
	defer func() { p.depth-- }()
	content, err := unpack(content)
	if err != nil {
		return fmt.Errorf("user data part %s: %w", name, err)
	}
	if isTemplate(content) {
		if content, err = render(content, p.variables); err != nil {
			return fmt.Errorf("user data part %s: rendering the template: %w", name, err)
		}
	}
	if isMultipart(content) {
		return p.archive(name, content)
	}
	if len(bytes.TrimSpace(content)) == 0 {
		return nil
	}
	if contentKind == "" {
		contentKind = detect(content)
	}
	p.parts = append(p.parts, part{name: name, kind: contentKind, content: content})
	return nil
}

func unpack(content []byte) ([]byte, error) {
	for bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
		unpacked, err := gunzip(content)
		if err != nil {
			return nil, err
		}
		content = unpacked
	}
	return content, nil
}

func gunzip(content []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("unpacking gzip: %w", err)
	}
	unpacked, err := io.ReadAll(io.LimitReader(reader, maxUnpacked+1))
	if err != nil {
		return nil, fmt.Errorf("unpacking gzip: %w", err)
	}
	if len(unpacked) > maxUnpacked {
		return nil, fmt.Errorf("unpacking gzip: it holds more than %d bytes", maxUnpacked)
	}
	return unpacked, nil
}

// detect tells a document's kind by how it begins.
func detect(content []byte) kind {
	text := strings.TrimLeft(string(content[:min(len(content), 4096)]), " \t\r\n")
	first, _, _ := strings.Cut(text, "\n")
	first = strings.TrimSpace(first)
	switch {
	case strings.HasPrefix(text, "#!"):
		return kindScript
	case strings.HasPrefix(text, "#cloud-boothook"):
		return kindBoothook
	case first == "#cloud-config" || strings.HasPrefix(first, "#cloud-config "):
		return kindCloudConfig
	case strings.HasPrefix(text, "{") && strings.Contains(string(content), `"ignition"`):
		return kindIgnition
	}
	if runes := []rune(first); len(runes) > 40 {
		first = string(runes[:40])
	}
	if !strings.HasPrefix(first, "#") {
		// What is not a header may be a secret.
		first = "no header"
	}
	return kind(first)
}

// isMultipart tells whether a document begins with mail headers.
func isMultipart(content []byte) bool {
	head := strings.ToLower(string(content[:min(len(content), 4096)]))
	head = strings.TrimLeft(head, " \t\r\n")
	return strings.HasPrefix(head, "content-type: multipart/") ||
		(strings.HasPrefix(head, "mime-version:") || strings.HasPrefix(head, "from ") || strings.HasPrefix(head, "from:")) && strings.Contains(head, "content-type: multipart/")
}

// archive adds the parts of a multipart document.
func (p *parser) archive(name string, content []byte) error {
	message, err := mail.ReadMessage(bytes.NewReader(bytes.TrimLeft(content, " \t\r\n")))
	if err != nil {
		return fmt.Errorf("user data part %s: reading the multipart headers: %w", name, err)
	}
	mediaType, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("user data part %s: header Content-Type: %w", name, err)
	}
	if !strings.HasPrefix(mediaType, "multipart/") || parameters["boundary"] == "" {
		return fmt.Errorf("user data part %s: header Content-Type is %s, it must be multipart/mixed with a boundary", name, mediaType)
	}
	return p.archiveParts(name, message.Body, parameters["boundary"])
}

func (p *parser) archiveParts(name string, body io.Reader, boundary string) error {
	reader := multipart.NewReader(body, boundary)
	for number := 1; ; number++ {
		one, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("user data part %s: reading its part %d: %w", name, number, err)
		}
		partName := one.FileName()
		if partName == "" {
			partName = fmt.Sprintf("part-%03d", len(p.parts)+1)
		}
		// The name becomes a file's.
		partName = strings.ReplaceAll(partName, "/", "_")
		content, err := decodePart(one)
		if err != nil {
			return fmt.Errorf("user data part %s: %w", partName, err)
		}
		mediaType, parameters, err := mime.ParseMediaType(one.Header.Get("Content-Type"))
		if err != nil {
			mediaType = ""
		}
		if strings.HasPrefix(mediaType, "multipart/") {
			if p.depth++; p.depth > maxDepth {
				return fmt.Errorf("user data part %s is nested more than %d deep", partName, maxDepth)
			}
			err = p.archiveParts(partName, bytes.NewReader(content), parameters["boundary"])
			p.depth--
		} else {
			err = p.document(partName, contentTypes[mediaType], content)
		}
		if err != nil {
			return err
		}
	}
}

func decodePart(one *multipart.Part) ([]byte, error) {
	var reader io.Reader = one
	switch encoding := strings.ToLower(strings.TrimSpace(one.Header.Get("Content-Transfer-Encoding"))); encoding {
	case "", "7bit", "8bit", "binary":
	case "base64":
		reader = base64.NewDecoder(base64.StdEncoding, one)
	case "quoted-printable":
		reader = quotedprintable.NewReader(one)
	default:
		return nil, fmt.Errorf("header Content-Transfer-Encoding is %q, it must be 7bit, 8bit, binary, base64 or quoted-printable", encoding)
	}
	content, err := io.ReadAll(io.LimitReader(reader, maxUnpacked))
	if err != nil {
		return nil, fmt.Errorf("decoding it: %w", err)
	}
	return content, nil
}
