/* SPDX-License-Identifier: MIT
 *
 * A folder of a test's own, for a Unix socket.
 */
#ifndef FOLDER_H
#define FOLDER_H

extern char folder[64];
extern char folder_path[80]; /* of a socket in it */
extern char folder_address[96]; /* of that */

void folder_make(void);
void folder_remove(void); /* which has to be empty */

#endif
