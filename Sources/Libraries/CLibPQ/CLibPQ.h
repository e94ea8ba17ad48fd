#ifndef CLIBPQ_H
#define CLIBPQ_H

#include <libpq-fe.h>
#include <errno.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

// libpq 17 and later. Weak, so that the program also builds and runs with an older libpq.
extern int PQsendPipelineSync(PGconn *connection) __attribute__((weak));

/// Whether libpq can queue a synchronisation point without sending it at once.
static inline int clibpq_can_gather(void)
{
    return PQsendPipelineSync != 0;
}

/// Queues a synchronisation point after a statement; an older libpq sends its whole buffer at once.
static inline int clibpq_put_pipeline_sync(PGconn *connection)
{
    return PQsendPipelineSync ? PQsendPipelineSync(connection) : PQpipelineSync(connection);
}

/// Sets TCP_CORK, with which the kernel delays segments that are not full (tcp(7)); 0 on failure, which is harmless.
static inline int clibpq_cork(const PGconn *connection, int isCorked)
{
    return setsockopt(PQsocket(connection), IPPROTO_TCP, TCP_CORK, &isCorked, sizeof isCorked) == 0;
}

/// The state of what a socket has sent (tcp(7), TCP_INFO).
struct clibpq_path {
    /// Segments that the peer's kernel has not acknowledged.
    unsigned unacknowledged;
    /// Retransmissions of the oldest of them since the last acknowledgement.
    unsigned retransmits;
    /// The retransmission timeout, in microseconds (RFC 6298).
    unsigned timeout;
    /// Milliseconds since the latest acknowledgement: while a long statement is being sent, something is always
    /// unacknowledged.
    unsigned sinceAcknowledgement;
};

/// Reads a socket's state, in about 1 microsecond; 0 if it is not TCP, or closed.
static inline int clibpq_path(int socket, struct clibpq_path *path)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return 0;
    path->unacknowledged = info.tcpi_unacked;
    path->retransmits = info.tcpi_retransmits;
    path->timeout = info.tcpi_rto;
    path->sinceAcknowledgement = info.tcpi_last_ack_recv;
    return 1;
}

/// Address and packet of a session's request to cancel (PostgreSQL manual, 55.7, CancelRequest).
struct clibpq_cancel {
    struct sockaddr_storage address;
    socklen_t length;
    unsigned char packet[16];
};

// The beginning of libpq's PGcancel in versions 9 to 17 (fe-connect.c, libpq-int.h; version 18 changed it). libpq
// reveals the key in no other way, and its own PQcancel blocks. clibpq_cancel_request verifies the two fields that it
// knows from elsewhere before it uses the third.
struct clibpq_pgcancel {
    struct {
        struct sockaddr_storage addr;
        socklen_t salen;
    } raddr;
    int be_pid;
    int be_key;
};

static inline void clibpq_put(unsigned char *to, unsigned value)
{
    to[0] = value >> 24;
    to[1] = value >> 16;
    to[2] = value >> 8;
    to[3] = value;
}

/// Fills in the session's request to cancel; 0 if this libpq's layout is unknown, or the session is closed.
static inline int clibpq_cancel_request(PGconn *connection, struct clibpq_cancel *request)
{
    if (PQlibVersion() >= 180000) return 0;
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    memset(&peer, 0, sizeof peer);
    if (getpeername(PQsocket(connection), (struct sockaddr *) &peer, &length) != 0) return 0;
    PGcancel *cancel = PQgetCancel(connection);
    if (!cancel) return 0;
    const struct clibpq_pgcancel *fields = (const struct clibpq_pgcancel *) (const void *) cancel;
    int isKnown = fields->be_pid == PQbackendPID(connection) && fields->raddr.salen <= sizeof peer
        && fields->raddr.addr.ss_family == peer.ss_family;
    if (isKnown && peer.ss_family != AF_UNIX) {
        isKnown = fields->raddr.salen == length && memcmp(&fields->raddr.addr, &peer, length) == 0;
    }
    if (isKnown) {
        memcpy(&request->address, &fields->raddr.addr, sizeof request->address);
        request->length = fields->raddr.salen;
        clibpq_put(request->packet, 16);
        clibpq_put(request->packet + 4, 80877102);
        clibpq_put(request->packet + 8, (unsigned) fields->be_pid);
        clibpq_put(request->packet + 12, (unsigned) fields->be_key);
    }
    PQfreeCancel(cancel);
    return isKnown;
}

/// Opens a socket and begins to connect it to the request's address; -1 on failure.
static inline int clibpq_open_cancel(const struct clibpq_cancel *request)
{
    int descriptor = socket(request->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return -1;
    const struct sockaddr *address = (const struct sockaddr *) &request->address;
    if (connect(descriptor, address, request->length) == 0 || errno == EINPROGRESS) return descriptor;
    close(descriptor);
    return -1;
}

#endif
