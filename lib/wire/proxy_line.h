/* Version 1 of the PROXY protocol. */
#ifndef MTSI_WIRE_PROXY_LINE_H
#define MTSI_WIRE_PROXY_LINE_H

#include "wire/proxy.h"

#include <stddef.h>

/* As mtsi_proxy_parse(), of bytes, at least one, that can only be the beginning of a line. */
int mtsi_proxy_line(const unsigned char *bytes, size_t size, struct mtsi_proxy *header);

#endif
