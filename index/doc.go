// Package index answers which workers have these tags and room, and which of them is least loaded.
// It is a data structure without locks, clocks or goroutines, and the same calls give the same
// answers in every run.
//
// # Structure
//
// Workers with the same set of tags form a profile. A profile keeps its eligible workers in a binary
// min-heap: every entry knows its worker, and the record of every worker knows the place of its
// entry. A key is a load with a give stamp behind it, and unique, so there is always one least
// worker. Profiles have slots in a layout, sixteen to a block and sixteen blocks to a group, in the
// order of their tag sets as in the leaves of a B+ tree, so that profiles which share tags are
// neighbours; blocks and groups have minima.
//
//	          requirement {gpu, zone=3}                       cached: groups, blocks, slots that match
//	             |            |
//	groups    [ g0 ]        [ g2 ]          [ g5 ]            least key of 16 blocks
//	             |            |
//	blocks    [b1][b4]      [b33]                             least key of 16 slots
//	             |    \          \
//	slots     [p][p]  [p]        [p]                          least key of a profile
//	           |
//	heap      w7
//	         /  \
//	       w3    w9                                           keys: load, then give stamp or slot
//	      /  \
//	    w1    w4 ...
//
// A change of load moves one entry in one heap. The minima over the slots are mended only if the
// first entry changed, and only as far as they change, however many requirements are cached; a load
// that is set to what it was touches nothing.
//
// Least compares the slots of a requirement that has few of them. For others it walks the groups,
// blocks and slots that the requirement lists and passes over whatever has a minimum that is not
// below the best found so far, beginning with the slot it found the last time. A minimum of a block
// covers profiles without the tags as well, so it is a lower bound and never an answer.
//
// A requirement catches up on its next use: the layout logs the numbers of the slots whose profile
// came, went or moved, and the requirement looks again at those alone. If it missed more than the
// log keeps, it is built anew: by a look at each profile with its rarest tag where these are few,
// else at all profiles. Bring does either in steps of a bounded size. Bitmaps lead
// from each tag to its profiles, and to its workers, for Matching and TagWorkers.
//
// Everything is given back: profiles without workers, tags without profiles, requirements that were
// not used for longest, and the lists of requirements beyond a common budget.
//
// A heap was compared with a tournament, minima over eight keys each in which workers keep their
// seats, so that a change of one key writes nothing into the records of others. In interleaved pairs
// (medians of the ratios of five to seven) choose and release took 0.9 of the tournament's time with
// the heap at 5,000 workers and 0.8 at 1,000,000; Give took 0.7; where almost every worker has a tag
// set of its own, a heap of one, the noise was larger than any difference. The memory of a worker was
// 0.85 to 1.08 of the tournament's. Four or eight children to an entry were no faster than two.
//
// # Reading the source
//
// Index.Put, heap.settle, layout.setTop, layout.insert, Index.bring, Index.Least, Index.Check, in
// this order.
//
// # Costs
//
// Medians of four to seven runs on one of two shared cores of a server with other programs at work,
// which scatter by half. Choose and release is Least, Give and the SetLoad of another worker whose
// task ended, at half load; it includes two calls of Load and the bookkeeping of the benchmark. In a
// shared fleet the workers have about 1,000 distinct tag sets (48 models of hardware, 12 zones, spot
// or not); in an own fleet almost every worker has a tag set of its own.
//
//	choose and release             5,000 workers   50,000     1,000,000
//	shared, 50 requirements        0.20 us                    0.72 us
//	shared, 5,000 requirements     0.15 us                    0.84 us
//	own, 50 requirements           0.30 us         1.6 us     6.2 us
//	join, shared                   0.7 us, 91 B               0.45 us, 42 B
//	join, own                      2.5 us, 343 B              4.9 us, 279 B
//
// At 5,000 shared workers Lookup takes 26 ns, Least 55 ns, Give 30 ns, the SetLoad of another load
// 39 ns and of the same load 8 ns, without allocation. The rest: choose and release among 3 of
// 1,000,000 workers 35 ns; nobody with room in 7,000 matching profiles of 50,000, 3.8 us; a
// requirement that was evicted and is built again, 3.4 us; a worker changing to a tag never seen,
// and one of 50 requirements catching up with 50 such changes, 11 us.
//
// The 5,000 requirements have fewer matching profiles each than the 50, hence the lower figure at
// 5,000 workers. To repeat them:
//
//	go test ./index -run '^$' -bench . -benchtime 0.2s -count 7 -cpu 1
package index
