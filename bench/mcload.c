// mcload: an epoll load generator for memcached (classic text or meta commands) and RESP servers.
//
//   gcc -O2 -o mcload mcload.c -lpthread -lm
//   mcload -p 11211 -w -n 1000000                    store every key once
//   mcload -p 11211 -n 1000000 -t 10 -d 16           10 s of get/set 90/10, 16 commands in flight per connection
//   mcload -p 11211 -n 1000000 -t 10 -m 50           gets of 50 keys each
//   mcload -p 11211 -n 1000000 -t 10 -q 20000        open loop: 20,000 op/s arrive as a Poisson process
//   mcload -h                                        all options
//
// Prints one JSON object: operations (a multi-get is one), keys asked for and answered, hits, errors, latency percentiles, its own CPU seconds.
// Source: written for this project; it carries the same traffic to every server that it measures.
//
// Closed loop (no -q): a connection sends its next `depth` commands when the last reply of the former ones has come, so depth 16 is what a
// client library's pipeline of 16 does. Open loop (-q): latency counts from the time when the request was due, so a server that stalls does
// not slow its own examiner down (no coordinated omission).
// Non-goals: checking values (the conformance tests do), TLS, UDP.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum protocol { TEXT, RESP, META };
enum kind { GET = 1, SET = 2, MULTI_GET = 3 };

static const char *host = "127.0.0.1", *unix_path;
static int port = 11211, connections = 50, threads = 1, depth = 1, key_bytes = 32, value_bytes = 100, keys_per_get, preload;
static enum protocol protocol = TEXT;
static double set_percent = 10, seconds = 10, ops_per_second, zipf_theta, zipf_zeta;
static long key_count = 1000000;
static char *value;
static int queue_length; // requests that a connection's ring holds

// ---- latency histogram: 32 linear steps per power of two, nanoseconds ----

#define HISTOGRAM_BUCKETS (64 * 32)

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t max, count;
};

static inline int bucket_of(uint64_t ns) {
    if (ns < 32)
        return ns;
    int exponent = 63 - __builtin_clzll(ns);
    int bucket = (exponent - 4) * 32 + ((ns >> (exponent - 5)) & 31);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static double bucket_middle(int bucket) {
    if (bucket < 32)
        return bucket;
    return (double)(32 + (bucket & 31)) * pow(2, bucket / 32 - 1) * 1.0157;
}

static double percentile(const struct histogram *h, double percent) {
    uint64_t target = ceil(h->count * percent / 100.0), seen = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= target)
            return bucket_middle(i);
    }
    return h->max;
}

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

// ---- connections and workers ----

struct connection {
    int fd;
    // Requests in flight: a ring of their kinds and times.
    int pending, head, tail;
    uint8_t *kinds;
    uint64_t *times;
    char *out;
    size_t out_length, out_sent;
    char *in;
    size_t in_length, in_capacity;
    size_t skip;                   // bytes of a value that are still to come
    int replies_left;              // of a RESP array
    double next_due;               // open loop: when the next request is due
    long preload_next, preload_end; // the keys that this connection stores with -w
};

struct worker {
    int id, epoll;
    uint64_t random;
    struct histogram latency;
    uint64_t ops, gets, sets, hits, misses, errors, keys, answered;
    double zipf_alpha, zipf_eta, duration;
    pthread_t thread;
};

static inline uint64_t next_random(struct worker *w) {
    uint64_t x = w->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    w->random = x;
    return x * 0x2545F4914F6CDD1Dull;
}

static inline double next_unit(struct worker *w) {
    return (next_random(w) >> 11) * (1.0 / 9007199254740992.0);
}

// Uniform, or Zipf by Gray's method with the ranks scattered over the keys.
static long pick_key(struct worker *w) {
    if (zipf_theta <= 0)
        return next_random(w) % key_count;
    double u = next_unit(w), uz = u * zipf_zeta;
    long rank;
    if (uz < 1)
        rank = 0;
    else if (uz < 1 + pow(0.5, zipf_theta))
        rank = 1;
    else
        rank = (long)(key_count * pow(w->zipf_eta * u - w->zipf_eta + 1, w->zipf_alpha));
    if (rank >= key_count)
        rank = key_count - 1;
    return (long)(((uint64_t)rank * 0x9E3779B97F4A7C15ull >> 8) % key_count);
}

// ---- requests ----

static inline char *put(char *o, const char *text) {
    size_t n = strlen(text);
    memcpy(o, text, n);
    return o + n;
}

// "k000...0123", key_bytes long
static inline char *put_key(char *o, long id) {
    char digits[24];
    int n = 0;
    do {
        digits[n++] = '0' + id % 10;
        id /= 10;
    } while (id);
    int i = 1;
    o[0] = 'k';
    for (; i < key_bytes - n; i++)
        o[i] = '0';
    for (int j = n - 1; j >= 0; j--)
        o[i++] = digits[j];
    return o + key_bytes;
}

static char *put_set(char *o, long id) {
    if (protocol == RESP) {
        o += sprintf(o, "*3\r\n$3\r\nSET\r\n$%d\r\n", key_bytes);
        o = put_key(o, id);
        o += sprintf(o, "\r\n$%d\r\n", value_bytes);
    } else if (protocol == META) {
        o = put_key(put(o, "ms "), id);
        o += sprintf(o, " %d\r\n", value_bytes);
    } else {
        o = put_key(put(o, "set "), id);
        o += sprintf(o, " 0 0 %d\r\n", value_bytes);
    }
    memcpy(o, value, value_bytes);
    return put(o + value_bytes, "\r\n");
}

static char *put_get(char *o, long id) {
    if (protocol == RESP) {
        o += sprintf(o, "*2\r\n$3\r\nGET\r\n$%d\r\n", key_bytes);
        return put(put_key(o, id), "\r\n");
    }
    if (protocol == META)
        return put(put_key(put(o, "mg "), id), " v\r\n");
    return put(put_key(put(o, "get "), id), "\r\n");
}

static char *put_multi_get(struct worker *w, char *o, long id) {
    o = protocol == RESP ? o + sprintf(o, "*%d\r\n$4\r\nMGET\r\n", keys_per_get + 1) : put(o, "get");
    for (int i = 0; i < keys_per_get; i++) {
        if (i)
            id = pick_key(w);
        if (protocol == RESP) {
            o += sprintf(o, "$%d\r\n", key_bytes);
            o = put(put_key(o, id), "\r\n");
        } else {
            *o++ = ' ';
            o = put_key(o, id);
        }
    }
    return protocol == RESP ? o : put(o, "\r\n");
}

static void add_request(struct worker *w, struct connection *c, uint64_t due) {
    char *o = c->out + c->out_length;
    int is_set = preload || ((next_random(w) >> 40) % 10000) < set_percent * 100;
    long id = preload ? c->preload_next++ : pick_key(w);
    if (is_set) {
        o = put_set(o, id);
        c->kinds[c->tail] = SET;
        w->sets++;
    } else if (keys_per_get > 1) {
        o = put_multi_get(w, o, id);
        c->kinds[c->tail] = MULTI_GET;
        w->gets++;
        w->keys += keys_per_get;
    } else {
        o = put_get(o, id);
        c->kinds[c->tail] = GET;
        w->gets++;
        w->keys++;
    }
    c->out_length = o - c->out;
    c->times[c->tail] = due;
    c->tail = (c->tail + 1) % queue_length;
    c->pending++;
}

// ---- replies ----

static void finish(struct worker *w, struct connection *c, uint64_t now) {
    uint64_t ns = now - c->times[c->head];
    w->latency.buckets[bucket_of(ns)]++;
    w->latency.count++;
    if (ns > w->latency.max)
        w->latency.max = ns;
    if (c->kinds[c->head] != SET)
        w->answered += c->kinds[c->head] == MULTI_GET ? keys_per_get : 1;
    c->head = (c->head + 1) % queue_length;
    c->pending--;
    w->ops++;
}

static void finish_element(struct worker *w, struct connection *c, uint64_t now) {
    if (c->kinds[c->head] != MULTI_GET || --c->replies_left == 0)
        finish(w, c, now);
}

static void fail(struct worker *w, struct connection *c, const char *line, size_t length, uint64_t now) {
    if (++w->errors < 4)
        fprintf(stderr, "reply: %.*s", (int)length, line);
    finish(w, c, now);
}

// The bytes field of "VALUE key flags bytes": the digits before the line's end.
static int trailing_number(const char *line_end) {
    const char *q = line_end;
    if (q[-1] == '\r')
        q--;
    int number = 0;
    for (int unit = 1; q[-1] >= '0' && q[-1] <= '9'; unit *= 10, q--)
        number += (q[-1] - '0') * unit;
    return number;
}

static void take_line(struct worker *w, struct connection *c, const char *line, const char *end, uint64_t now) {
    size_t length = end - line + 1;
    if (protocol == RESP) {
        if (*line == '*') {
            c->replies_left = atoi(line + 1);
            if (c->replies_left <= 0)
                finish(w, c, now);
        } else if (*line == '$') {
            int bytes = atoi(line + 1);
            if (bytes >= 0) {
                w->hits++;
                c->skip = bytes + 2;
            } else {
                w->misses++;
                finish_element(w, c, now);
            }
        } else if (*line == '+')
            finish(w, c, now);
        else
            fail(w, c, line, length, now);
    } else if (line[0] == 'V' && line[1] == 'A') {
        w->hits++;
        c->skip = (protocol == META ? atoi(line + 3) : trailing_number(end)) + 2;
    } else if (protocol == META) {
        if (line[0] == 'E' && line[1] == 'N') {
            w->misses++;
            finish(w, c, now);
        } else if (line[0] == 'H' && line[1] == 'D')
            finish(w, c, now);
        else
            fail(w, c, line, length, now);
    } else if ((line[0] == 'E' && line[1] == 'N') || (line[0] == 'S' && line[1] == 'T'))
        finish(w, c, now); // END and STORED
    else
        fail(w, c, line, length, now);
}

static void take_replies(struct worker *w, struct connection *c) {
    size_t position = 0;
    uint64_t now = now_ns();
    while (c->pending) {
        if (c->skip) {
            size_t available = c->in_length - position;
            if (available < c->skip) {
                c->skip -= available;
                position = c->in_length;
                break;
            }
            position += c->skip;
            c->skip = 0;
            if (protocol != TEXT) { // the text protocol ends a get with END
                finish_element(w, c, now);
                continue;
            }
        }
        char *line = c->in + position;
        char *end = memchr(line, '\n', c->in_length - position);
        if (!end)
            break;
        position += end - line + 1;
        take_line(w, c, line, end, now);
    }
    memmove(c->in, c->in + position, c->in_length - position);
    c->in_length -= position;
}

// ---- the loop ----

static void watch(struct worker *w, struct connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(w->epoll, operation, c->fd, &event);
}

// Sends what there is; waits for room if the socket takes no more.
static int send_some(struct connection *c) {
    while (c->out_sent < c->out_length) {
        ssize_t n = write(c->fd, c->out + c->out_sent, c->out_length - c->out_sent);
        if (n < 0) {
            if (errno == EAGAIN)
                return 0;
            perror("write");
            exit(1);
        }
        c->out_sent += n;
    }
    c->out_sent = c->out_length = 0;
    return 1;
}

static void send_requests(struct worker *w, struct connection *c) {
    if (!send_some(c))
        watch(w, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void open_connection(struct worker *w, struct connection *c, long number) {
    int failed, one = 1;
    c->fd = socket(unix_path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    if (unix_path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        strncpy(address.sun_path, unix_path, sizeof address.sun_path - 1);
        failed = connect(c->fd, (void *)&address, sizeof address);
    } else {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
        inet_pton(AF_INET, host, &address.sin_addr);
        failed = connect(c->fd, (void *)&address, sizeof address);
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    if (failed) {
        perror("connect");
        exit(1);
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    size_t request_bytes = (keys_per_get > 1 ? keys_per_get * (key_bytes + 8) + 64 : key_bytes + 64) + value_bytes + 64;
    c->kinds = malloc(queue_length);
    c->times = malloc(queue_length * sizeof *c->times);
    c->out = malloc(request_bytes * queue_length + 4096);
    c->in_capacity = 1 << 18;
    c->in = malloc(c->in_capacity);
    long share = key_count / connections;
    c->preload_next = number * share;
    c->preload_end = number == connections - 1 ? key_count : c->preload_next + share;
    watch(w, c, EPOLL_CTL_ADD, EPOLLIN);
}

// Closed loop: the next `depth` requests.
static void add_batch(struct worker *w, struct connection *c, uint64_t now) {
    for (int i = 0; i < depth && (!preload || c->preload_next < c->preload_end); i++)
        add_request(w, c, now);
}

// Open loop: sends what is due and returns the nanoseconds until more is.
static long send_due(struct worker *w, struct connection *all, int count, uint64_t now, uint64_t end) {
    double mean_interval = 1e9 * connections / ops_per_second, next = end;
    for (int i = 0; i < count; i++) {
        struct connection *c = all + i;
        int any = 0;
        while (c->next_due <= now && c->pending < queue_length - 2) {
            add_request(w, c, (uint64_t)c->next_due);
            c->next_due += -log(((next_random(w) >> 11) + 1) * (1.0 / 9007199254740993.0)) * mean_interval;
            any = 1;
        }
        if (any)
            send_requests(w, c);
        if (c->next_due < next)
            next = c->next_due;
    }
    double wait = next - now_ns();
    return wait < 0 ? 0 : wait > 1e8 ? 1e8 : (long)wait;
}

static void receive(struct connection *c) {
    ssize_t n = read(c->fd, c->in + c->in_length, c->in_capacity - c->in_length);
    if (n > 0)
        c->in_length += n;
    else if (n == 0 || errno != EAGAIN) {
        fprintf(stderr, "connection closed by server\n");
        exit(1);
    }
}

static void *run(void *argument) {
    struct worker *w = argument;
    int count = connections / threads, live = count;
    struct connection *all = calloc(count, sizeof *all);
    struct epoll_event events[256];
    w->epoll = epoll_create1(0);
    for (int i = 0; i < count; i++)
        open_connection(w, all + i, (long)w->id * count + i);

    uint64_t start = now_ns(), end = preload ? ~0ull : start + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < count; i++) {
        if (ops_per_second > 0)
            all[i].next_due = start + 1e9 * connections / ops_per_second * next_unit(w);
        else {
            add_batch(w, all + i, now_ns());
            send_requests(w, all + i);
        }
    }
    for (;;) {
        uint64_t now = now_ns();
        if (now >= end || (preload && !live))
            break;
        struct timespec timeout = {0, 200000000};
        if (ops_per_second > 0)
            timeout.tv_nsec = send_due(w, all, count, now, end);
        int ready = epoll_pwait2(w->epoll, events, 256, &timeout, NULL);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT && send_some(c))
                watch(w, c, EPOLL_CTL_MOD, EPOLLIN);
            if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                continue;
            receive(c);
            take_replies(w, c);
            if (c->pending || ops_per_second > 0)
                continue;
            now = now_ns();
            if (now >= end)
                continue;
            add_batch(w, c, now);
            if (c->pending)
                send_requests(w, c);
            else { // this connection has stored its share
                live--;
                epoll_ctl(w->epoll, EPOLL_CTL_DEL, c->fd, NULL);
            }
        }
    }
    w->duration = (now_ns() - start) / 1e9;
    for (int i = 0; i < count; i++)
        close(all[i].fd);
    return NULL;
}

static int usage(void) {
    fprintf(stderr, "usage: mcload [-h ip] [-p port] [-u unix path] [-c connections] [-T threads] [-d commands in flight per connection]\n"
                    "              [-k key bytes] [-v value bytes] [-m keys per get] [-P mc|meta|resp] [-s set percent] [-t seconds]\n"
                    "              [-q total op/s, open loop] [-z zipf exponent] [-n keys] [-w store every key once]\n");
    return 2;
}

static int read_options(int argc, char **argv) {
    int option;
    while ((option = getopt(argc, argv, "h:p:u:c:T:d:k:v:m:P:s:t:q:z:n:w")) != -1)
        switch (option) {
        case 'h': host = optarg; break;
        case 'p': port = atoi(optarg); break;
        case 'u': unix_path = optarg; break;
        case 'c': connections = atoi(optarg); break;
        case 'T': threads = atoi(optarg); break;
        case 'd': depth = atoi(optarg); break;
        case 'k': key_bytes = atoi(optarg); break;
        case 'v': value_bytes = atoi(optarg); break;
        case 'm': keys_per_get = atoi(optarg); break;
        case 'P': protocol = !strcmp(optarg, "resp") ? RESP : !strcmp(optarg, "meta") ? META : TEXT; break;
        case 's': set_percent = atof(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 'q': ops_per_second = atof(optarg); break;
        case 'z': zipf_theta = atof(optarg); break;
        case 'n': key_count = atol(optarg); break;
        case 'w': preload = 1; break;
        default: return 0;
        }
    return threads > 0 && connections >= threads && depth > 0 && key_bytes > 20 && key_bytes <= 250 && value_bytes >= 0 && key_count > 0;
}

static double cpu_seconds(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    if (!read_options(argc, argv))
        return usage();
    queue_length = depth * 2 + (ops_per_second > 0 ? 4096 : 0) + 2;
    value = malloc(value_bytes + 2);
    for (int i = 0; i < value_bytes; i++)
        value[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[(i * 7 + i / 36) % 36];
    if (zipf_theta > 0)
        for (long i = 1; i <= key_count; i++)
            zipf_zeta += pow(1.0 / i, zipf_theta);

    struct worker *workers = calloc(threads, sizeof *workers), sum = {0};
    for (int i = 0; i < threads; i++) {
        struct worker *w = workers + i;
        w->id = i;
        w->random = 88172645463325252ull + i * 7919 * 104729ull + getpid();
        if (zipf_theta > 0) {
            w->zipf_alpha = 1 / (1 - zipf_theta);
            w->zipf_eta = (1 - pow(2.0 / key_count, 1 - zipf_theta)) / (1 - (1 + pow(0.5, zipf_theta)) / zipf_zeta);
        }
        for (int j = 0; j < 20; j++)
            next_random(w);
        pthread_create(&w->thread, NULL, run, w);
    }
    for (int i = 0; i < threads; i++) {
        struct worker *w = workers + i;
        pthread_join(w->thread, NULL);
        sum.ops += w->ops;
        sum.gets += w->gets;
        sum.sets += w->sets;
        sum.hits += w->hits;
        sum.errors += w->errors;
        sum.keys += w->keys;
        sum.answered += w->answered;
        for (int b = 0; b < HISTOGRAM_BUCKETS; b++)
            sum.latency.buckets[b] += w->latency.buckets[b];
        sum.latency.count += w->latency.count;
        if (w->latency.max > sum.latency.max)
            sum.latency.max = w->latency.max;
        if (w->duration > sum.duration)
            sum.duration = w->duration;
    }
    printf("{\"ops\":%lu,\"secs\":%.3f,\"ops_s\":%.0f,\"gets\":%lu,\"keys\":%lu,\"answered\":%lu,\"sets\":%lu,\"hits\":%lu,\"err\":%lu,\"p50_us\":%.1f,"
           "\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,\"client_cpu_s\":%.2f}\n",
           sum.ops, sum.duration, sum.ops / sum.duration, sum.gets, sum.keys, sum.answered, sum.sets, sum.hits, sum.errors, percentile(&sum.latency, 50) / 1e3,
           percentile(&sum.latency, 99) / 1e3, percentile(&sum.latency, 99.9) / 1e3, sum.latency.max / 1e3, cpu_seconds());
    return sum.errors ? 1 : 0;
}
