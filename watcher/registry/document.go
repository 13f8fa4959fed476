package registry

import (
	"encoding/json"
	"mime"
	"strings"

	"basewatch/watcher"
)

const (
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociConfig      = "application/vnd.oci.image.config.v1+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"

	maxManifestBytes = 4 << 20 // what the specification lets a registry refuse
	maxConfigBytes   = 8 << 20
	maxEntries       = 1000
	maxStringBytes   = 1 << 10
	maxAnnotations   = 64
)

// document is an index or an image's manifest, whichever it is.
type document struct {
	Schema      int               `json:"schemaVersion"`
	MediaType   string            `json:"mediaType"`
	Manifests   *[]descriptor     `json:"manifests"`
	Config      *descriptor       `json:"config"`
	Layers      *[]descriptor     `json:"layers"`
	FSLayers    json.RawMessage   `json:"fsLayers"`
	Annotations map[string]string `json:"annotations"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations"`
	Platform    *platform         `json:"platform"`
}

// platform is how an index, and an image's config, say what they run on.
type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	OSVersion    string `json:"os.version"`
}

func (p platform) watched() watcher.Platform {
	return watcher.Platform{OS: p.OS, Arch: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion}
}

func (d document) isIndex() bool { return d.Manifests != nil }

// parseDocument reads an index or a manifest and refuses what could be read in
// two ways (CVE-2021-41190): both kinds at once, a media type that is not the
// one it was sent as, keys that stand twice.
func parseDocument(body []byte, contentType string) (document, error) {
	var d document
	if isSchema1(contentType) {
		return d, errSchema1()
	}
	if err := checkJSON(body, maxDepth); err != nil {
		return d, invalid("the manifest is not taken: %w", err)
	}
	if err := json.Unmarshal(body, &d); err != nil {
		return d, invalid("the manifest cannot be read: %w", err)
	}
	if d.Schema == 1 || d.FSLayers != nil {
		return d, errSchema1()
	}
	return d, d.check(contentType)
}

func (d document) check(contentType string) error {
	isImage := d.Config != nil || d.Layers != nil
	sent := mediaType(contentType)
	switch {
	case d.isIndex() && isImage:
		return invalid("the manifest is an index and an image at once: it is not taken")
	case !d.isIndex() && d.Config == nil:
		return invalid("the answer is neither an index nor an image's manifest")
	case sent != "" && d.MediaType != "" && sent != d.MediaType:
		return invalid("the manifest says it is %.80q and was sent as %.80q: it is not taken", d.MediaType, sent)
	}
	for _, t := range []string{sent, d.MediaType} {
		if index, known := kindOf(t); known && index != d.isIndex() {
			return invalid("the manifest is not the %.80q that it is said to be: it is not taken", t)
		}
	}
	if d.isIndex() {
		return d.checkEntries()
	}
	return d.Config.check()
}

func (d document) checkEntries() error {
	if n := len(*d.Manifests); n > maxEntries {
		return invalid("the index has %d entries, at most %d are read", n, maxEntries)
	}
	for _, m := range *d.Manifests {
		if err := m.check(); err != nil {
			return err
		}
	}
	return nil
}

func (d descriptor) check() error {
	if !isDigest(d.Digest) || d.Size < 0 {
		return invalid("the manifest points to %.80q of %d bytes, which cannot be", d.Digest, d.Size)
	}
	return nil
}

// isImage reports an index's entry that an image runs from: not an
// attestation, not one for an unknown platform, not one that does not say.
func (d descriptor) isImage() bool {
	return d.Platform != nil && d.Annotations["vnd.docker.reference.type"] != "attestation-manifest" &&
		d.Platform.OS != "" && d.Platform.OS != "unknown" && d.Platform.Architecture != "unknown"
}

// kindOf tells whether a media type is an index's; known is false for those
// that are neither an index's nor a manifest's.
func kindOf(mediaType string) (index, known bool) {
	switch mediaType {
	case ociIndex, dockerList:
		return true, true
	case ociManifest, dockerManifest:
		return false, true
	}
	return false, false
}

// mediaType is a Content-Type that says something about a manifest; registries
// that know no better send none, or a general one.
func mediaType(contentType string) string {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil || t == "application/json" || t == "application/octet-stream" || strings.HasPrefix(t, "text/") {
		return ""
	}
	return t
}

func isSchema1(contentType string) bool {
	return strings.Contains(contentType, "docker.distribution.manifest.v1+")
}

func errSchema1() error {
	return invalid("the registry has this image only in Docker's old format (schema 1), whose digests prove nothing: not supported")
}

// kept is what we keep of annotations: what says which image this is, cut, and
// not too many of them.
func kept(annotations map[string]string) map[string]string {
	var out map[string]string
	for k, v := range annotations {
		if !strings.HasPrefix(k, "org.opencontainers.image.") || len(k) > maxStringBytes || len(out) >= maxAnnotations {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[k] = strings.ToValidUTF8(v[:min(len(v), maxStringBytes)], "")
	}
	return out
}

// registryErrors are the errors in the JSON of a registry's answer, if it has
// any.
func registryErrors(body []byte) []registryError {
	var answer struct {
		Errors  []registryError `json:"errors"`
		Details string          `json:"details"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil
	}
	if m := answer.Details + answer.Message; m != "" && len(answer.Errors) == 0 {
		return []registryError{{Message: m}}
	}
	return answer.Errors[:min(len(answer.Errors), 3)]
}

type registryError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}
