/* The yardstick: one epoll loop in C that keeps every byte and its kernel stamp, and parses nothing.
 *
 *   floor PORT USERS REQUESTS GATHER_US OUTPUT < REQUEST
 *
 * USERS connections to 127.0.0.1:PORT each send REQUEST, read until the last chunk, and send it
 * again, until REQUESTS have been sent. With GATHER_US the loop sleeps that long before each poll,
 * so that one poll reports more. Prints one line of JSON; OUTPUT gets, for each exchange, three
 * 64-bit integers (moment sent, reads, bytes), for each read two (CLOCK_MONOTONIC after it,
 * CLOCK_REALTIME of arrival) and its length, and then the bytes. Memory for the answers is taken
 * as they grow, like a client that does not know how long they will be.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct read_ { int64_t seen, arrived, length; };

struct exchange {
    int64_t sent, reads, bytes, room_reads, room_bytes;
    struct read_ *read;
    char *data;
};

struct user { int fd; struct exchange *at; };

static char request[65536];
static ssize_t request_length;
static struct exchange *exchanges;
static long wanted, asked, over, chunks;

static int64_t now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void *grown(void *old, size_t bytes)
{
    void *new = realloc(old, bytes);
    if (!new)
        fail("realloc");
    return new;
}

static int ask(struct user *user)
{
    if (asked == wanted)
        return 0;
    user->at = &exchanges[asked++];
    if (send(user->fd, request, request_length, MSG_NOSIGNAL) != request_length)
        fail("send");
    user->at->sent = now(CLOCK_MONOTONIC);
    return 1;
}

/* One read: its bytes go straight to the end of what the exchange has. */
static void take(struct user *user)
{
    struct exchange *x = user->at;
    char control[128];
    struct iovec piece;
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    struct read_ *r;
    ssize_t got;

    if (!x)
        return;
    if (x->room_bytes - x->bytes < 4096)
        x->data = grown(x->data, x->room_bytes = 2 * x->room_bytes + 8192);
    if (x->reads == x->room_reads)
        x->read = grown(x->read, (x->room_reads = 2 * x->room_reads + 32) * sizeof *x->read);
    piece.iov_base = x->data + x->bytes;
    piece.iov_len = x->room_bytes - x->bytes;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    got = recvmsg(user->fd, &message, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        fail("the server left");
    r = &x->read[x->reads++];
    r->seen = now(CLOCK_MONOTONIC);
    r->arrived = 0;
    r->length = got;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPING) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t);
            r->arrived = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
        }
    x->bytes += got;
    chunks++;
    if (x->bytes >= 5 && !memcmp(x->data + x->bytes - 5, "0\r\n\r\n", 5)) {
        over++;
        user->at = NULL;
        ask(user);
    }
}

static void keep(const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        fail(path);
    for (long i = 0; i < over; i++) {
        struct exchange *x = &exchanges[i];
        fwrite(&x->sent, sizeof x->sent, 3, file);
        fwrite(x->read, sizeof *x->read, x->reads, file);
        fwrite(x->data, 1, x->bytes, file);
    }
    if (fclose(file))
        fail(path);
}

static double seconds(struct timeval t) { return t.tv_sec + t.tv_usec / 1e6; }

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    long users = atol(argv[2]), gather_us = atol(argv[4]);
    int poller = epoll_create1(0), one = 1;
    int stamps = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    struct epoll_event events[512];
    struct rusage used;
    int64_t offset;

    wanted = atol(argv[3]);
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while ((offset = read(0, request + request_length, sizeof request - request_length)) > 0)
        request_length += offset;
    exchanges = calloc(wanted, sizeof *exchanges);
    struct user *all = calloc(users, sizeof *all);
    if (!exchanges || !all)
        fail("calloc");
    int64_t begun = now(CLOCK_MONOTONIC);
    for (long i = 0; i < users; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        int fd = all[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) ||
            setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps) ||
            connect(fd, (struct sockaddr *)&there, sizeof there))
            fail("connect");
        fcntl(fd, F_SETFL, O_NONBLOCK);
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
        ask(&all[i]);
    }
    while (over < wanted) {
        if (gather_us)
            usleep(gather_us);
        int ready = epoll_wait(poller, events, 512, 1000);
        for (int i = 0; i < ready; i++)
            take(events[i].data.ptr);
    }
    int64_t ended = now(CLOCK_MONOTONIC);
    getrusage(RUSAGE_SELF, &used);
    offset = now(CLOCK_MONOTONIC) - now(CLOCK_REALTIME);
    printf("{\"requests\": %ld, \"reads\": %ld, \"cpu_s\": %.6f, \"wall_s\": %.6f, "
           "\"peak_kb\": %ld, \"offset_ns\": %lld}\n",
           over, chunks, seconds(used.ru_utime) + seconds(used.ru_stime), (ended - begun) / 1e9,
           used.ru_maxrss, (long long)offset);
    keep(argv[5]);
    return 0;
}
