// The few C declarations that Swift's Glibc module does not show.
#ifndef CLINUX_H
#define CLINUX_H

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

// accept4 hides behind _GNU_SOURCE, which the Glibc module is built without.
extern int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict length, int flags);

// The event's datum is a union, which Swift can only reach through its members.
static inline struct epoll_event clinux_epoll_event(uint32_t events, uint64_t datum) {
    struct epoll_event event;
    event.events = events;
    event.data.u64 = datum;
    return event;
}

// epoll_event is packed on x86_64: reading the datum here keeps the unaligned access out of Swift.
static inline uint64_t clinux_epoll_datum(const struct epoll_event *event) { return event->data.u64; }

// Swift hides fork, rightly. A test needs it, to show that a pool refuses to work in a forked process.
static inline pid_t clinux_fork(void) { return fork(); }

#endif
