#ifndef CLIBPQ_H
#define CLIBPQ_H

#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

// libpq 17. Weak, so that the program is built and runs with an older one as well, which does not have it.
extern int PQsendPipelineSync(PGconn *connection) __attribute__((weak));

/// Whether a synchronisation point can be put behind a statement without sending it at once.
static inline int clibpq_can_gather(void)
{
    return PQsendPipelineSync != 0;
}

/// Puts a synchronisation point behind a statement; an older libpq sends it, and what is before it, at once.
static inline int clibpq_put_pipeline_sync(PGconn *connection)
{
    return PQsendPipelineSync ? PQsendPipelineSync(connection) : PQpipelineSync(connection);
}

/// Has the kernel hold segments that are not full back until told otherwise (tcp(7), TCP_CORK); 0 where it cannot, which
/// does no harm.
static inline int clibpq_cork(const PGconn *connection, int isCorked)
{
    return setsockopt(PQsocket(connection), IPPROTO_TCP, TCP_CORK, &isCorked, sizeof isCorked) == 0;
}

#endif
