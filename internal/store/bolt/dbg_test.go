package bolt
import ("testing";"log/slog";"os")
func dbgLog(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr,nil)) }
