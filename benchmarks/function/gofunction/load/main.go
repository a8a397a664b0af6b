// Command load sends one recorded request to a function over and over and reports latencies. One client measures every
// server, so that the client's own cost is the same for all.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
)

const method = "/apiextensions.fn.proto.v1.FunctionRunnerService/RunFunction"

// raw passes bytes through, so that the client never parses what it measures.
type raw struct{}

func (raw) Name() string                  { return "proto" }
func (raw) Marshal(v any) ([]byte, error) { return *(v.(*[]byte)), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*(v.(*[]byte)) = data
	return nil
}

type result struct {
	Calls  int     `json:"calls"`
	P50    float64 `json:"p50_us"`
	P99    float64 `json:"p99_us"`
	Rate   float64 `json:"calls_per_second"`
	Answer int     `json:"answer_bytes"`
}

func main() {
	target := flag.String("target", "", "host:port")
	file := flag.String("request", "", "file with the request's bytes")
	inFlight := flag.Int("in-flight", 1, "calls at the same time")
	seconds := flag.Float64("seconds", 3, "how long to measure, at most")
	calls := flag.Int("calls", 0, "stop after this many calls, if not 0")
	warmUp := flag.Float64("warm-up", 1, "seconds before measuring")
	flag.Parse()
	body, err := os.ReadFile(*file)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.NewClient(*target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(encoding.Codec(raw{})), grpc.WaitForReady(true),
			grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	run(conn, body, *inFlight, *warmUp, 0)
	fmt.Fprintln(os.Stderr, "measuring")
	found := run(conn, body, *inFlight, *seconds, *calls)
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}

func run(conn *grpc.ClientConn, body []byte, inFlight int, seconds float64, calls int) result {
	var group sync.WaitGroup
	latencies := make([][]time.Duration, inFlight)
	sizes := make([]int, inFlight)
	start := time.Now()
	deadline := start.Add(time.Duration(seconds * float64(time.Second)))
	for worker := range inFlight {
		group.Add(1)
		go func() {
			defer group.Done()
			for time.Now().Before(deadline) && (calls == 0 || len(latencies[worker]) < calls/inFlight) {
				var answer []byte
				begin := time.Now()
				if err := conn.Invoke(context.Background(), method, &body, &answer); err != nil {
					log.Fatal(err)
				}
				latencies[worker] = append(latencies[worker], time.Since(begin))
				sizes[worker] = len(answer)
			}
		}()
	}
	group.Wait()
	took := time.Since(start).Seconds()
	all := slices.Concat(latencies...)
	slices.Sort(all)
	if len(all) == 0 {
		return result{}
	}
	return result{
		Calls: len(all), P50: micros(all[len(all)/2]), P99: micros(all[len(all)*99/100]),
		Rate: float64(len(all)) / took, Answer: sizes[0],
	}
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
