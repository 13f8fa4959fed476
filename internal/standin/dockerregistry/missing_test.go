package dockerregistry_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestAMissingProgramSkipsLoudlyAndFailsInCI runs this test binary again with
// nothing on its PATH.
func TestAMissingProgramSkipsLoudlyAndFailsInCI(t *testing.T) {
	for ci, want := range map[string]string{
		"CI=":     "--- SKIP: TestDebiansRegistryServesWhatIsPushed/open",
		"CI=true": "--- FAIL: TestDebiansRegistryServesWhatIsPushed/open",
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^TestDebiansRegistryServesWhatIsPushed$/^open$")
		cmd.Env = []string{"PATH=" + t.TempDir(), "TMPDIR=" + t.TempDir(), ci}
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) || !strings.Contains(string(out), "make test") {
			t.Errorf("%s: want %q with the remedy, got %v:\n%s", ci, want, err, out)
		}
	}
}
