package dockerfile_test
import ("testing";"strings";"time";"runtime";"basewatch/rebuild/dockerfile")
func TestZZ(t *testing.T){
 rep:=strings.Repeat
 cont:=func(s string,n int) string { // continuation lines of <60k
   var b strings.Builder
   for i:=0;i<n;i++{ b.WriteString(s); if b.Len()%50000<len(s) {b.WriteString("\\\n")} }
   return b.String()
 }
 for name,f:=range map[string]string{
  "nested run heredoc": "FROM a\nRUN <<E "+cont("${a:-",4000)+"x"+cont("}",4000)+"\nE\n",
  "onbuild": cont("ONBUILD ",120000)+"x",
  "dollars": "FROM a\nRUN <<E "+cont("$a ",300000)+"\nE\n",
  "quotes": "FROM a\nRUN <<E "+cont(`"$a`,200000)+"\nE\n",
  "froms": rep("FROM a\n",140000),
  "comments": rep("# a\nFROM a\n",90000),
  "comments2": rep("#\n",250000)+rep("FROM a\n",60000),
  "unset": rep("FROM "+rep("$a",500)+"\n",1000),
  "unset distinct": rep("FROM $a$b$c$d$e$f$g$h$i$j$k$l$m$n$o$p"+rep("x",900)+"\n",1000),
  "pattern": rep("ARG A="+rep("a",900)+"\n",1)+rep("FROM ${A%"+rep("*",900)+"}\n",1000),
  "pattern2": rep("ARG A="+rep("a",900)+"\n",1)+rep("FROM ${A//"+rep("*",9)+"b/"+rep("x",800)+"}\n",1000),
  "repl": rep("ARG A="+rep("a",900)+"\n",1)+rep("FROM ${A//a/"+rep("x",1000)+"}\n",1000),
  "chain": "ARG A=x\n"+rep("ARG A=$A\n",40000)+rep("FROM $A\n",20000),
  "mounts": "FROM a\nRUN "+cont("--mount=from=a ",60000)+"x\n",
  "copy": "FROM a\n"+rep("COPY --from=$x a b\n",50000),
  "<<": "FROM a\nRUN "+cont("<<",400000)+"\n",
  "<<a": "FROM a\nRUN "+cont("<<a ",200000)+"\n"+rep("a\n",90000),
  "json": "FROM a\nRUN "+rep("[",60000),
 }{
  if len(f)>1<<20 {t.Log(name,"too long",len(f)); f=f[:1<<20]}
  var m0,m1 runtime.MemStats
  runtime.ReadMemStats(&m0)
  s:=time.Now(); r,o,err:=dockerfile.Find([]byte(f),nil)
  runtime.ReadMemStats(&m1)
  e:=""; if err!=nil {e=err.Error(); if len(e)>120{e=e[:120]}}
  t.Logf("%-20s %8s %5dMB found %d open %d %s",name,time.Since(s).Round(time.Millisecond),(m1.TotalAlloc-m0.TotalAlloc)>>20,len(r),len(o),e)
 }
}
