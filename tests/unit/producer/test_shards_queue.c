#include "producer/shards_queue.h"

#include <errno.h>

#include "tests/unit/common/unit.h"

static int answers[8], answer_count;
static size_t delivered;

static void done(void *context, int result, const struct shards_delivery *deliveries, size_t count)
{
    answers[answer_count++] = *(int *)context;
    delivered += count;
    assert_true(result == 0 ? deliveries != NULL : deliveries == NULL);
}

static struct shards_record record_of(const char *key)
{
    return (struct shards_record){.topic = "control",
                                  .partition = -1,
                                  .key = key,
                                  .key_bytes = strlen(key),
                                  .value = "0123456789",
                                  .value_bytes = 10};
}

static void push(struct shards_queue *queue, int *number)
{
    struct shards_record records[2] = {record_of("a"), record_of("b")};
    assert_int_equal(shards_queue_push(queue, records, 2, done, number), 0);
}

static int prepare(void **state)
{
    (void)state;
    answer_count = 0;
    delivered = 0;
    return 0;
}

static void records_are_copied_and_keep_their_order(void **state)
{
    (void)state;
    struct shards_queue queue;
    struct submission_list batch = STAILQ_HEAD_INITIALIZER(batch);
    char key[] = "schedule/p";
    int number = 1;
    shards_queue_init(&queue, 10, 1000);
    struct shards_record records[2] = {record_of(key), record_of("tombstone")};
    records[1].value = NULL;
    records[1].value_bytes = 0;
    assert_int_equal(shards_queue_push(&queue, records, 2, done, &number), 0);
    memset(key, 'x', sizeof key - 1);
    shards_queue_take(&queue, 10, 1000, &batch);
    struct submission *submission = STAILQ_FIRST(&batch);
    assert_string_equal(submission->records[0].topic, "control");
    assert_memory_equal(submission->records[0].key, "schedule/p", 10);
    assert_memory_equal(submission->records[0].value, "0123456789", 10);
    assert_null(submission->records[1].value);
    submissions_answer(&batch, 0);
    assert_int_equal(delivered, 2);
}

static void a_push_past_a_maximum_fails_and_changes_nothing(void **state)
{
    (void)state;
    struct shards_queue queue;
    struct shards_record record = record_of("a");
    int number = 1;
    shards_queue_init(&queue, 5, 1000);
    push(&queue, &number);
    push(&queue, &number);
    struct shards_record two[2] = {record, record};
    assert_int_equal(shards_queue_push(&queue, two, 2, done, &number), -ENOBUFS);
    assert_int_equal(queue.records, 4);
    queue.bytes_max = queue.bytes + 5;
    assert_int_equal(shards_queue_push(&queue, &record, 1, done, &number), -ENOBUFS);
    struct submission_list rest = STAILQ_HEAD_INITIALIZER(rest);
    shards_queue_take(&queue, SIZE_MAX, SIZE_MAX, &rest);
    assert_int_equal(queue.records, 0);
    assert_int_equal(queue.bytes, 0);
    submissions_answer(&rest, -EAGAIN);
    assert_int_equal(answer_count, 2);
    assert_int_equal(delivered, 0);
}

static void a_batch_is_cut_at_submissions_and_has_one_at_least(void **state)
{
    (void)state;
    struct shards_queue queue;
    int numbers[] = {0, 1, 2};
    shards_queue_init(&queue, 100, 10000);
    for (int i = 0; i < 3; i++) {
        push(&queue, &numbers[i]);
    }
    struct submission_list batch = STAILQ_HEAD_INITIALIZER(batch);
    shards_queue_take(&queue, 1, SIZE_MAX, &batch);
    submissions_answer(&batch, 0);
    assert_int_equal(answer_count, 1);
    shards_queue_take(&queue, 4, SIZE_MAX, &batch);
    submissions_answer(&batch, 0);
    assert_int_equal(answer_count, 3);
}

static void what_is_put_back_comes_first_again(void **state)
{
    (void)state;
    struct shards_queue queue;
    int numbers[] = {0, 1, 2};
    shards_queue_init(&queue, 100, 10000);
    push(&queue, &numbers[0]);
    push(&queue, &numbers[1]);
    struct submission_list batch = STAILQ_HEAD_INITIALIZER(batch);
    shards_queue_take(&queue, 100, SIZE_MAX, &batch);
    push(&queue, &numbers[2]);
    shards_queue_put_back(&queue, &batch);
    assert_true(STAILQ_EMPTY(&batch));
    assert_int_equal(queue.records, 6);
    shards_queue_take(&queue, 100, SIZE_MAX, &batch);
    submissions_answer(&batch, 0);
    assert_int_equal(answer_count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(answers[i], i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(records_are_copied_and_keep_their_order, prepare),
        cmocka_unit_test_setup(a_push_past_a_maximum_fails_and_changes_nothing, prepare),
        cmocka_unit_test_setup(a_batch_is_cut_at_submissions_and_has_one_at_least, prepare),
        cmocka_unit_test_setup(what_is_put_back_comes_first_again, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
