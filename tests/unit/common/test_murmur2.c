#include "common/murmur2.h"

#include "common/attributes.h"
#include "tests/unit/common/unit.h"

struct vector {
    const char *key;
    uint32_t hash;
};

/* Of the tests of Kafka's Java client (as signed numbers there) and of librdkafka. */
static const struct vector vectors[] = {
    {"21", (uint32_t)-973932308},
    {"foobar", (uint32_t)-790332482},
    {"a-little-bit-long-string", (uint32_t)-985981536},
    {"a-little-bit-longer-string", (uint32_t)-1486304829},
    {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", (uint32_t)-58897971},
    {"abc", 479470107},
    {"kafka", 0xd067cf64},
    {"giberish123456789", 0x8f552b0c},
    {"1234", 0x9fc97b14},
    {"234", 0xe7c009ca},
    {"34", 0x873930da},
    {"4", 0x5a4b5ca1},
    {"", 0x106e08d9},
};

static void hashes_are_those_of_kafkas_clients(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        assert_int_equal(murmur2(vectors[i].key, strlen(vectors[i].key)), vectors[i].hash);
    }
}

static void a_key_is_hashed_by_its_bytes_wherever_they_stand(void **state)
{
    (void)state;
    char shifted[64];
    for (size_t at = 0; at < 4; at++) {
        memcpy(shifted + at, "giberish123456789", 17);
        assert_int_equal(murmur2(shifted + at, 17), 0x8f552b0c);
    }
}

static void partitions_are_never_negative(void **state)
{
    (void)state;
    assert_int_equal(murmur2_partition("21", 2, 8), ((uint32_t)-973932308 & 0x7fffffff) % 8);
    assert_int_equal(murmur2_partition("kafka", 5, 1), 0);
    for (int i = 0; i < 1000; i++) {
        char key[16];
        int bytes = snprintf(key, sizeof key, "key-%d", i);
        assert_in_range(murmur2_partition(key, (size_t)bytes, 7), 0, 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_kafkas_clients),
        cmocka_unit_test(a_key_is_hashed_by_its_bytes_wherever_they_stand),
        cmocka_unit_test(partitions_are_never_negative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
