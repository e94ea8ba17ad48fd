// C declarations that Swift's Glibc module does not export.
#ifndef CLINUX_H
#define CLINUX_H

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <resolv.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

// accept4 needs _GNU_SOURCE, without which the Glibc module is built.
extern int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict length, int flags);

// The event's data is a union, which is awkward in Swift.
static inline struct epoll_event clinux_epoll_event(uint32_t events, uint64_t datum) {
    struct epoll_event event;
    event.events = events;
    event.data.u64 = datum;
    return event;
}

// epoll_event is packed on x86_64; reading the data here keeps the unaligned access out of Swift.
static inline uint64_t clinux_epoll_datum(const struct epoll_event *event) { return event->data.u64; }

// Swift hides fork. Tests need it to show that a pool refuses to work in a forked process.
static inline pid_t clinux_fork(void) { return fork(); }

// Makes this thread's look-ups repeat an unanswered query each second instead of every five (resolv.conf(5),
// `timeout`), with the same total timeout. The resolver's state is per thread, behind a macro.
static inline void clinux_ask_name_servers_each_second(void) {
    if (res_init() != 0) return;
    int total = _res.retrans * _res.retry;
    _res.retry = total < 1 ? 1 : total > 60 ? 60 : total;
    _res.retrans = 1;
}

#endif
