/**
 * @file mtserver.h
 * Everything of libmtserver: include this one header.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MTSERVER_H
#define MTSERVER_H

#include <mtserver/client.h>
#include <mtserver/framing.h>
#include <mtserver/handler.h>
#include <mtserver/hooks.h>
#include <mtserver/later.h>
#include <mtserver/limits.h>
#include <mtserver/networks.h>
#include <mtserver/proxy.h>
#include <mtserver/reach.h>
#include <mtserver/reading.h>
#include <mtserver/server.h>
#include <mtserver/service.h>
#include <mtserver/stats.h>
#include <mtserver/tasks.h>
#include <mtserver/threads.h>
#include <mtserver/version.h>

#endif
