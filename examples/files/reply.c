/* SPDX-License-Identifier: MIT
 *
 * Nothing here looks at what the writes return. Once the client is lost all further writes fail too,
 * and the library ends it as soon as the handler returns, whatever that says.
 */
#include "reply.h"

#include <stdio.h>
#include <time.h>

#include "dates.h"

void reply_begin(mts_client *client, const struct request *request, int status)
{
	char date[DATE_SIZE];
	mts_client_printf(client,
		"HTTP/1.1 %d %s\r\n"
		"Date: %s\r\n",
		status, http_status_str((enum http_status)status), date_print(date, time(NULL)));
	if (!request->keep) {
		mts_client_puts(client, "Connection: close\r\n");
	} else if (request->old) {
		mts_client_puts(client, "Connection: keep-alive\r\n");
	}
}

void reply_body(mts_client *client, const char *type, long long size)
{
	/* A browser is to believe the type, and not to look for scripts in what was uploaded as text. */
	mts_client_printf(client,
		"Content-Type: %s\r\n"
		"X-Content-Type-Options: nosniff\r\n"
		"Content-Length: %lld\r\n"
		"\r\n",
		type, size);
}

int reply_verdict(const struct request *request)
{
	return request->keep ? MTS_KEEP : MTS_CLOSE;
}

int reply_fields(mts_client *client, const struct request *request, int status, const char *fields)
{
	char text[64];
	const int size = snprintf(
		text, sizeof(text), "%d %s\n", status, http_status_str((enum http_status)status));
	reply_begin(client, request, status);
	mts_client_puts(client, fields);
	if (status == HTTP_STATUS_NO_CONTENT || status == HTTP_STATUS_NOT_MODIFIED) {
		mts_client_puts(client, "\r\n");
		return reply_verdict(request);
	}
	reply_body(client, "text/plain; charset=utf-8", size);
	if (request->method != HTTP_HEAD) {
		mts_client_puts(client, text);
	}
	return reply_verdict(request);
}

int reply_status(mts_client *client, const struct request *request, int status)
{
	return reply_fields(client, request, status, "");
}

int reply_and_close(mts_client *client, struct request *request, int status)
{
	request->keep = false;
	return reply_status(client, request, status);
}
