/*
 * What Redis answered to a transition, as a store_answer. Edge: hiredis's reply structure, no
 * connection.
 */
#ifndef ENGENHO_LICENSOR_STORE_REPLY_H
#define ENGENHO_LICENSOR_STORE_REPLY_H

#include <hiredis/hiredis.h>

#include "common/attributes.h"
#include "licensor/store.h"

/*
 * Read the reply of one FCALL. Release *ret_answer with store_answer_release, also after an error.
 * Returns 0, or -EPROTO when it is not what its functions answer.
 */
MUST_CHECK int reply_read(const redisReply *reply, struct store_answer *ret_answer);

#endif
