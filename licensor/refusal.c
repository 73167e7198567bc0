/*
 * Refusals in words.
 */
#include "licensor/refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void add(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(char *text, const char *format, ...)
{
    size_t length = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + length, REFUSAL_BYTES - length, format, arguments);
    va_end(arguments);
}

static void pool_limit(const struct store_answer *answer, struct refusal_text *text)
{
    add(text->en, "licence limit reached: ");
    add(text->pt, "Excedeu o número de licenças: ");
    for (size_t i = 0; i < answer->full_count; i++) {
        const struct store_full *full = &answer->full[i];
        add(text->en, "%spool %s, %u of %u in use", i > 0 ? "; " : "", full->pool, full->in_use,
            full->limit);
        add(text->pt, "%sgrupo %s, %u de %u em uso", i > 0 ? "; " : "", full->pool, full->in_use,
            full->limit);
    }
}

static void no_key(const struct store_answer *answer, const struct limits *limits,
                   struct refusal_text *text)
{
    if (limits->keys == 0) {
        add(text->en,
            "no product key: in demo one processor may register, and one is registered; install a licence");
        add(text->pt,
            "Sem chave de produto: no modo demo só um processor pode ser registrado, e já há um; instale uma licença");
        return;
    }
    add(text->en, "no product key left: %u of %u in use", answer->full[0].in_use,
        answer->full[0].limit);
    add(text->pt, "Excedeu o número de licenças: %u de %u chaves de produto em uso",
        answer->full[0].in_use, answer->full[0].limit);
}

static void by_reason(const struct store_answer *answer, const struct limits *limits,
                      struct refusal_text *text)
{
    const struct store_full *full = &answer->full[0];
    switch (answer->reason) {
    case STORE_NO_KEY:
        no_key(answer, limits, text);
        return;
    case STORE_NAME_IN_USE:
        add(text->en, "name in use by %s, process %d", answer->host, answer->pid);
        add(text->pt, "Nome em uso por %s, processo %d", answer->host, answer->pid);
        return;
    case STORE_POOL_LIMIT:
        pool_limit(answer, text);
        return;
    case STORE_EDITION_LIMIT:
        add(text->en,
            "licence limit reached: edition %s, %u of %u productions in use on this processor",
            edition_word(limits->edition), full->in_use, full->limit);
        add(text->pt,
            "Excedeu o número de licenças: edição %s, %u de %u produções em uso neste processor",
            edition_word(limits->edition), full->in_use, full->limit);
        return;
    case STORE_LINE_FULL:
        add(text->en, "the waiting line of pool %s is full: %u requests wait", full->pool,
            full->limit);
        add(text->pt, "A fila de espera do grupo %s está cheia: %u pedidos esperam", full->pool,
            full->limit);
        return;
    case STORE_UNKNOWN_POOL:
        add(text->en, "the licence has no pool %s", full->pool);
        add(text->pt, "A licença não tem o grupo %s", full->pool);
        return;
    case STORE_UNKNOWN_SESSION:
        add(text->en,
            "the session is not known, its lease is over or it said goodbye; register again");
        add(text->pt, "Sessão desconhecida: o prazo terminou ou foi encerrada; registre novamente");
        return;
    case STORE_RECOVERING:
        add(text->en,
            "the store lost writes: no new grants for one lease while workers claim what they hold");
        add(text->pt,
            "O armazenamento perdeu dados: sem novas concessões por um prazo enquanto os workers declaram o que têm");
        return;
    case STORE_STALE:
        add(text->en, "stale: the token is not valid, the seat was freed before");
        add(text->pt, "Obsoleto: o token não é válido, a licença já foi liberada");
        return;
    case STORE_LATE:
        add(text->en,
            "late: a newer registration of this name came before; if there is none, this machine's clock is behind, and "
            "the name is free once that session's lease is over");
        add(text->pt,
            "Atrasado: um registro mais novo deste nome veio antes; se não há nenhum, o relógio desta máquina está "
            "atrasado, e o nome fica livre quando o prazo daquela sessão terminar");
        return;
    case STORE_BAD_REQUEST:
    case STORE_NO_REASON:
        break;
    }
    add(text->en, "the request is not known or belongs to another session");
    add(text->pt, "Pedido desconhecido ou de outra sessão");
}

static bool is_of_licence(enum store_reason reason)
{
    return reason == STORE_NO_KEY || reason == STORE_POOL_LIMIT || reason == STORE_EDITION_LIMIT ||
           reason == STORE_UNKNOWN_POOL;
}

void refusal_write(const struct store_answer *answer, const struct limits *limits,
                   struct refusal_text *ret_text)
{
    ret_text->en[0] = ret_text->pt[0] = '\0';
    by_reason(answer, limits, ret_text);
    if (limits->contact[0] != '\0' && is_of_licence(answer->reason)) {
        add(ret_text->en, "; contact: %s", limits->contact);
        add(ret_text->pt, "; contato: %s", limits->contact);
    }
}

void refusal_write_store_down(const char *reason, struct refusal_text *ret_text)
{
    ret_text->en[0] = ret_text->pt[0] = '\0';
    add(ret_text->en, "no seats can be granted now: %s", reason);
    add(ret_text->pt, "Nenhuma licença pode ser concedida agora: %s", reason);
}
