/* Networks and single addresses, as they are written. */
#ifndef MTSI_WIRE_NETWORK_TEXT_H
#define MTSI_WIRE_NETWORK_TEXT_H

struct mtsi_network;
struct mtsi_peer;

/*
 * Reads a network:
 *
 *   10.0.0.0/8            an IPv4 address, four decimal numbers, and how many bits of it count
 *   2001:db8::/32         the same with an IPv6 address
 *   192.0.2.7, ::1        a single address: all bits count
 *   ::ffff:10.0.0.0/104   an IPv4 address mapped into IPv6 is IPv4: 10.0.0.0/8
 *   unix                  all Unix sockets
 *
 * Bits that do not count must be 0, as in 10.1.0.0/16.  In 10.1.0.0/8 either the address is wrong or
 * the number, and to guess could let in many more than were meant.  Zones (%eth0) and ports are
 * refused: a network has neither.
 *
 * Returns 0 and sets *network, or -EINVAL.
 */
int mtsi_network_parse(const char *text, struct mtsi_network *network);

/*
 * Reads the address of a peer: as mtsi_peer_format() writes it, or without a port.  A zone is read,
 * and not kept; so is what follows "unix:".
 *
 *   192.0.2.7, 192.0.2.7:5000, ::1, fe80::1%2, [::1], [::1]:5000, [fe80::1%2]:5000,
 *   unix, unix:/path, unix:@name
 *
 * Returns 0 and sets *peer, or -EINVAL.
 */
int mtsi_peer_parse(const char *text, struct mtsi_peer *peer);

#endif
