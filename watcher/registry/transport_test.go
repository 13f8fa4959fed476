package registry

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"basewatch/internal/standin"
	"basewatch/watcher"
)

func TestTheLibrarysReadersAddNoRequestsOfTheirOwn(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer}, nil)
	want := w.Push(repoName, "1", linux)
	rt, err := w.us.Transport(tagRef)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(tagRef)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref, remote.WithTransport(rt), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := index.Digest(); err != nil || d.String() != want {
		t.Fatalf("got %s, %v", d, err)
	}
	img, err := remote.Image(ref, remote.WithTransport(rt))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := img.ConfigFile(); err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) == 0 {
		t.Fatal(layers, err)
	}
	rc, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, rc); err != nil {
		t.Fatal(err)
	}
	if s := w.us.Hosts()[0]; s.InFlight != 1 {
		t.Errorf("%d in flight while a body is open", s.InFlight)
	}
	_ = rc.Close()
	if s := w.us.Hosts()[0]; s.InFlight != 0 {
		t.Errorf("%d in flight after it was closed", s.InFlight)
	}
	// Index by tag (the first GET finds the challenge), index and image, config
	// and layer.
	if got := w.Counts(); got != (standin.Counts{Get: 4, Blob: 2, Token: 1}) {
		t.Errorf("it cost %+v", got)
	}
}

func TestTheLibraryIsToldToWaitByAnErrorAndDoesNotComeAgain(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	w.Push(repoName, "1", linux)
	w.Next(standin.Answer{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "600"}})
	rt, err := w.us.Transport(tagRef)
	if err != nil {
		t.Fatal(err)
	}
	ref, _ := name.ParseReference(tagRef)
	_, err = remote.Index(ref, remote.WithTransport(rt))
	if watcher.ProblemOf(err) != watcher.Throttled {
		t.Errorf("got %v", err)
	}
	if n := w.Counts().Total(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestTransportReadsItsOwnRepositoryAlone(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	rt, err := w.us.Transport(tagRef)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ method, url string }{
		{http.MethodGet, "https://" + hostName + "/v2/other/manifests/1"},
		{http.MethodGet, "https://" + hostName + "/metrics"},
		{http.MethodDelete, "https://" + hostName + "/v2/" + repoName + "/manifests/1"},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), tc.method, tc.url, strings.NewReader(""))
		if res, err := rt.RoundTrip(req); err == nil {
			_ = res.Body.Close()
			t.Errorf("%s %s was passed on", tc.method, tc.url)
		}
	}
	if n := w.Counts().Total(); n != 0 {
		t.Errorf("%d requests", n)
	}
}
