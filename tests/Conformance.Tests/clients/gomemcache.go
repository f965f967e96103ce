// gomemcache HOST:PORT HOST:PORT: what Go programs do with Debian's golang-github-bradfitz-gomemcache-dev. Exit code 0 when all is as it must be.
// The package has no append, no statistics and no first value for counters.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

const (
	workers = 8
	rounds  = 25
)

var prefix = "go:" + hex.EncodeToString(noise(4)) + ":"

func key(name interface{}) string { return prefix + fmt.Sprint(name) }

func noise(size int) []byte {
	made := make([]byte, size)
	if _, err := rand.Read(made); err != nil {
		panic(err)
	}
	return made
}

// must ends the step when something is not as expected.
func must(right bool, what string, more ...interface{}) {
	if !right {
		panic(fmt.Sprintf("%s: %.300s", what, fmt.Sprint(more...)))
	}
}

func ends(expected, actual error, what string) {
	must(expected == actual, what, "expected ", expected, ", got ", actual)
}

func connect(servers ...string) *memcache.Client {
	client := memcache.New(servers...)
	client.Timeout = 20 * time.Second
	return client
}

func store(client *memcache.Client, name string, value []byte) {
	ends(nil, client.Set(&memcache.Item{Key: name, Value: value}), "set "+name)
}

func holds(client *memcache.Client, name string, value []byte) *memcache.Item {
	item, err := client.Get(name)
	ends(nil, err, "get "+name)
	must(bytes.Equal(value, item.Value), "get "+name, "expected ", len(value), " bytes, got ", len(item.Value))
	return item
}

func misses(client *memcache.Client, name string) {
	_, err := client.Get(name)
	ends(memcache.ErrCacheMiss, err, "get "+name)
}

func waitUntil(what string, condition func() bool) {
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(50 * time.Millisecond) {
		must(time.Now().Before(deadline), "still not", what)
	}
}

type user struct {
	Name string
	Tags []string
	Rate float64
}

type step struct {
	name string
	run  func(client *memcache.Client, first, second string)
}

var steps = []step{
	{"short lives begin", func(client *memcache.Client, _, _ string) {
		// A life of one second may end with the clock's next tick: hence two.
		ends(nil, client.Set(&memcache.Item{Key: key("touched"), Value: []byte("x"), Expiration: 2}), "set")
		ends(nil, client.Touch(key("touched"), 1000), "touch")
		ends(nil, client.Set(&memcache.Item{Key: key("short"), Value: []byte("x"), Expiration: 2}), "set")
		ends(memcache.ErrCacheMiss, client.Touch(key("absent"), 1000), "touch of an absent key")
		ends(nil, client.Set(&memcache.Item{Key: key("absolute"), Value: []byte("x"), Expiration: int32(time.Now().Unix()) + 1000}), "set with an absolute time")
		ends(nil, client.Set(&memcache.Item{Key: key("past"), Value: []byte("x"), Expiration: -1}), "set with a time in the past")
		misses(client, key("past"))
	}},
	{"values and flags", func(client *memcache.Client, _, _ string) {
		all := make([]byte, 256)
		for index := range all {
			all[index] = byte(index)
		}
		for name, value := range map[string][]byte{"text": []byte("Grüße ✓"), "empty": {}, "bytes": all, "lines": []byte("END\r\nVALUE x 0 1\r\n")} {
			store(client, key(name), value)
			holds(client, key(name), value)
		}
		for _, flags := range []uint32{0, 1, 65536, 4294967295} {
			ends(nil, client.Set(&memcache.Item{Key: key("flags"), Value: []byte("x"), Flags: flags}), "set")
			must(holds(client, key("flags"), []byte("x")).Flags == flags, "flags", flags)
		}
		anna := user{"anna", []string{"a", "b"}, 1.25}
		text, _ := json.Marshal(anna)
		store(client, key("json"), text)
		var back user
		must(json.Unmarshal(holds(client, key("json"), text).Value, &back) == nil && reflect.DeepEqual(anna, back), "JSON", back)
		var encoded bytes.Buffer
		must(gob.NewEncoder(&encoded).Encode(anna) == nil, "gob")
		store(client, key("gob"), encoded.Bytes())
		back = user{}
		must(gob.NewDecoder(bytes.NewReader(holds(client, key("gob"), encoded.Bytes()).Value)).Decode(&back) == nil && reflect.DeepEqual(anna, back), "gob", back)
	}},
	{"sizes", func(client *memcache.Client, _, _ string) {
		for _, size := range []int{0, 1, 2047, 2048, 16384, 100 * 1024, 1048000} {
			value := noise(size)
			store(client, key(size), value)
			holds(client, key(size), value)
		}
		store(client, key("limit"), []byte("old"))
		err := client.Set(&memcache.Item{Key: key("limit"), Value: noise(1048576)})
		must(err != nil && strings.Contains(err.Error(), "SERVER_ERROR object too large for cache"), "set beyond the limit", err)
		misses(client, key("limit"))
		store(client, key("limit"), []byte("new"))
	}},
	{"add, replace, delete", func(client *memcache.Client, _, _ string) {
		item := func(value string) *memcache.Item { return &memcache.Item{Key: key("a"), Value: []byte(value)} }
		misses(client, key("a"))
		ends(memcache.ErrNotStored, client.Replace(item("x")), "replace of an absent key")
		ends(nil, client.Add(item("one")), "add")
		ends(memcache.ErrNotStored, client.Add(item("two")), "add of a present key")
		ends(nil, client.Replace(item("three")), "replace")
		holds(client, key("a"), []byte("three"))
		ends(nil, client.Delete(key("a")), "delete")
		ends(memcache.ErrCacheMiss, client.Delete(key("a")), "delete of an absent key")
		misses(client, key("a"))
	}},
	{"many keys at once", func(client *memcache.Client, _, _ string) {
		keys := []string{}
		for number := 0; number < 300; number++ {
			keys = append(keys, key(fmt.Sprint("many", number)))
			store(client, keys[number], []byte(strings.Repeat(fmt.Sprint("value ", number, " "), number%50)))
		}
		found, err := client.GetMulti(append([]string{key("absent1"), key("absent2")}, keys...))
		ends(nil, err, "GetMulti")
		must(len(found) == 300, "GetMulti", len(found))
		for number, name := range keys {
			must(string(found[name].Value) == strings.Repeat(fmt.Sprint("value ", number, " "), number%50), "GetMulti", name)
		}
		found, err = client.GetMulti([]string{key("absent1")})
		must(err == nil && len(found) == 0, "GetMulti of absent keys", found, err)
	}},
	{"cas", func(client *memcache.Client, _, _ string) {
		store(client, key("cas"), []byte("one"))
		one, stale := holds(client, key("cas"), []byte("one")), holds(client, key("cas"), []byte("one"))
		one.Value, stale.Value = []byte("two"), []byte("three")
		ends(nil, client.CompareAndSwap(one), "cas")
		ends(memcache.ErrCASConflict, client.CompareAndSwap(stale), "cas with a stale token")
		ends(nil, client.Delete(key("cas")), "delete")
		ends(memcache.ErrCacheMiss, client.CompareAndSwap(stale), "cas of an absent key")
	}},
	{"workers add to one number with cas", func(client *memcache.Client, first, _ string) {
		store(client, key("total"), []byte("0"))
		failures := make(chan string, workers)
		var group sync.WaitGroup
		for worker := 0; worker < workers; worker++ {
			group.Add(1)
			go func() {
				defer group.Done()
				defer func() {
					if failure := recover(); failure != nil {
						failures <- fmt.Sprint(failure)
					}
				}()
				own := connect(first)
				for round := 0; round < rounds; {
					item, err := own.Get(key("total"))
					ends(nil, err, "get")
					number, _ := strconv.Atoi(string(item.Value))
					item.Value = []byte(strconv.Itoa(number + 1))
					switch err := own.CompareAndSwap(item); err {
					case nil:
						round++
					case memcache.ErrCASConflict:
					default:
						panic(err)
					}
				}
			}()
		}
		group.Wait()
		must(len(failures) == 0, "workers", len(failures), " failed")
		holds(client, key("total"), []byte(strconv.Itoa(workers*rounds)))
	}},
	{"goroutines share one client", func(client *memcache.Client, _, _ string) {
		failures := make(chan string, workers)
		var group sync.WaitGroup
		for worker := 0; worker < workers; worker++ {
			group.Add(1)
			go func(worker int) {
				defer group.Done()
				defer func() {
					if failure := recover(); failure != nil {
						failures <- fmt.Sprint(failure)
					}
				}()
				for round := 0; round < rounds; round++ {
					name, value := key(fmt.Sprint("shared", worker)), bytes.Repeat([]byte(fmt.Sprint(worker, round)), 100)
					store(client, name, value)
					holds(client, name, value)
				}
			}(worker)
		}
		group.Wait()
		must(len(failures) == 0, "goroutines", len(failures), " failed")
	}},
	{"counters", func(client *memcache.Client, _, _ string) {
		counts := func(expected uint64, actual uint64, err error) { must(err == nil && expected == actual, "counter", expected, actual, err) }
		_, err := client.Increment(key("n"), 1)
		ends(memcache.ErrCacheMiss, err, "incr of an absent key")
		store(client, key("n"), []byte("10"))
		number, err := client.Increment(key("n"), 5)
		counts(15, number, err)
		number, err = client.Decrement(key("n"), 6)
		counts(9, number, err)
		number, err = client.Decrement(key("n"), 1000)
		counts(0, number, err)
		store(client, key("n"), []byte("18446744073709551615"))
		number, err = client.Increment(key("n"), 1)
		counts(0, number, err)
		store(client, key("word"), []byte("word"))
		_, err = client.Increment(key("word"), 1)
		must(err != nil && strings.Contains(err.Error(), "cannot increment or decrement non-numeric value"), "incr of a word", err)
		holds(client, key("word"), []byte("word"))
	}},
	{"bad keys", func(client *memcache.Client, _, _ string) {
		longest := (key("") + strings.Repeat("k", 250))[:250]
		store(client, longest, []byte("x"))
		holds(client, longest, []byte("x"))
		for _, bad := range []string{longest + "k", "with space", "with\nline"} {
			ends(memcache.ErrMalformedKey, client.Set(&memcache.Item{Key: bad, Value: []byte("x")}), "set of a bad key")
			_, err := client.Get(bad)
			ends(memcache.ErrMalformedKey, err, "get of a bad key")
		}
	}},
	{"two servers", func(_ *memcache.Client, first, second string) {
		both := connect(first, second)
		keys := []string{}
		for number := 0; number < 200; number++ {
			keys = append(keys, key(fmt.Sprint("two", number)))
			store(both, keys[number], []byte(keys[number]))
		}
		found, err := both.GetMulti(keys)
		must(err == nil && len(found) == len(keys), "GetMulti", len(found), err)
		together := map[string]bool{}
		for _, server := range []string{first, second} {
			found, err := connect(server).GetMulti(keys)
			must(err == nil && len(found) > 0, "both servers are in use", len(found), err)
			for name := range found {
				together[name] = true
			}
		}
		must(len(together) == len(keys), "what the servers hold together", len(together))
	}},
	{"short lives end", func(client *memcache.Client, _, _ string) {
		waitUntil("the item expires", func() bool {
			_, err := client.Get(key("short"))
			return err == memcache.ErrCacheMiss
		})
		holds(client, key("touched"), []byte("x"))
		holds(client, key("absolute"), []byte("x"))
		ends(nil, client.Add(&memcache.Item{Key: key("short"), Value: []byte("again")}), "add after expiry")
	}},
	{"flush", func(client *memcache.Client, _, _ string) {
		ends(nil, client.FlushAll(), "FlushAll")
		misses(client, key("touched"))
		store(client, key("after"), []byte("y"))
		holds(client, key("after"), []byte("y"))
	}},
}

func main() {
	first, second := os.Args[1], os.Args[2]
	client := connect(first)
	name := ""
	defer func() {
		if failure := recover(); failure != nil {
			fmt.Printf("gomemcache, %s: %v\n", name, failure)
			os.Exit(1)
		}
	}()
	for _, step := range steps {
		name = step.name
		step.run(client, first, second)
	}
	fmt.Println("gomemcache: right")
}
