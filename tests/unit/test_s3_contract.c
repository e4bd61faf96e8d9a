/* The contract over buckets of a real Ceph object store, by both drivers and the wrappers. */
#include "buckets.h"
#include "contract.h"

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT(set_up_s3),   CONTRACT(set_up_s3_tls),   CONTRACT(set_up_s3_versioned),
        CONTRACT(set_up_s3v2), CONTRACT(set_up_s3v2_tls),
    };
    setenv("TZ", "TEST-5:30", 1); /* nothing that a server says is local time */
    ceph_up();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ceph_down();
    return failed;
}
