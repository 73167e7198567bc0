#include "common/admin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/common/unit.h"

static const struct metric_desc table[] = {
    {.name = "engenho_scrapes", .type = METRIC_GAUGE, .help = "Scrapes."}};

static struct event_base *base;
static struct metrics *metrics;
static struct admin *admin;
static bool ready;

static bool is_ready(void *context, struct error *reason)
{
    (void)context;
    if (!ready) {
        error_set(reason, -EAGAIN, "Kafka has not answered yet");
    }
    return ready;
}

static void before_scrape(void *context)
{
    metric_add(metrics_series(context, "engenho_scrapes", NULL), 1);
}

static struct admin *listen_on(const char *address, struct error *error)
{
    struct admin_options options = {.address = address,
                                    .metrics = metrics,
                                    .before_scrape = before_scrape,
                                    .ready = is_ready,
                                    .context = metrics};
    return admin_new(base, &options, error);
}

static int start(void **state)
{
    (void)state;
    struct error error;
    base = event_base_new();
    metrics = metrics_new("tests", table, ARRAY_SIZE(table));
    admin = listen_on("127.0.0.1:0", &error);
    ready = false;
    return admin ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    admin_free(admin);
    metrics_free(metrics);
    event_base_free(base);
    return 0;
}

static char answer[200000];

/* Send a request and run the loop until the server has closed. */
static const char *ask(const char *request)
{
    int client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(admin_port(admin)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(client, request, strlen(request)), (ssize_t)strlen(request));
    size_t length = 0;
    for (;;) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        ssize_t bytes = recv(client, answer + length, sizeof answer - 1 - length, MSG_DONTWAIT);
        if (bytes == 0) {
            break;
        }
        length += bytes > 0 ? (size_t)bytes : 0;
    }
    answer[length] = 0;
    close(client);
    return answer;
}

#define GET(path, headers)                                                                         \
    ask("GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" headers "\r\n")

static void metrics_are_brought_up_to_date_and_shown(void **state)
{
    (void)state;
    GET("/metrics", "");
    assert_contains(answer, "HTTP/1.1 200 OK");
    assert_contains(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8");
    assert_contains(answer, "engenho_scrapes 1\n");
    GET("/metrics", "");
    assert_contains(answer, "engenho_scrapes 2\n");
    assert_null(strstr(answer, "# EOF"));
}

static void openmetrics_is_given_to_whom_asks_for_it(void **state)
{
    (void)state;
    GET("/metrics", "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n");
    assert_contains(answer,
                    "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_contains(answer, "# EOF\n");
}

static void a_probe_says_why_not(void **state)
{
    (void)state;
    GET("/readyz", "");
    assert_contains(answer, "HTTP/1.1 503");
    assert_contains(answer, "Kafka has not answered yet\n");
    ready = true;
    assert_contains(GET("/readyz", ""), "HTTP/1.1 200 OK");
    /* A probe that the process does not have is always true. */
    assert_contains(GET("/livez", ""), "HTTP/1.1 200 OK");
    assert_contains(GET("/startupz", ""), "HTTP/1.1 200 OK");
}

static void there_is_nothing_else(void **state)
{
    (void)state;
    assert_contains(GET("/", ""), "HTTP/1.1 404");
    assert_contains(GET("/metrics/../secret", ""), "HTTP/1.1 404");
    assert_null(strstr(
        ask("POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        "200 OK"));
}

static void a_request_without_end_is_refused(void **state)
{
    (void)state;
    static char request[60000];
    int length = snprintf(request, sizeof request, "GET /metrics HTTP/1.1\r\nHost: x\r\nX: ");
    memset(request + length, 'x', sizeof request - 1 - (size_t)length);
    memcpy(request + sizeof request - 5, "\r\n\r\n", 5);
    assert_null(strstr(ask(request), "200 OK"));
}

static void a_port_in_use_is_named_with_what_to_do(void **state)
{
    (void)state;
    char address[32];
    struct error error;
    snprintf(address, sizeof address, "127.0.0.1:%d", admin_port(admin));
    assert_null(listen_on(address, &error));
    assert_contains(error.text, address);
    assert_contains(error.text,
                    "is in use: choose another with --admin-listen, or stop what listens there");
    assert_null(listen_on("nonsense", &error));
    assert_contains(error.text, "HOST:PORT");
    assert_null(listen_on("203.0.113.7:0", &error));
    assert_contains(error.text, "203.0.113.7:0");
    assert_null(listen_on("203.0.113.7:0", NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(metrics_are_brought_up_to_date_and_shown),
        TEST(openmetrics_is_given_to_whom_asks_for_it),
        TEST(a_probe_says_why_not),
        TEST(there_is_nothing_else),
        TEST(a_request_without_end_is_refused),
        TEST(a_port_in_use_is_named_with_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
