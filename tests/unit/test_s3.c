/* Buckets: the contract over both drivers and the wrappers against a real Ceph object store, versions, locks,
 * and what is said when keys, names or certificates are wrong. */
#include "buckets.h"
#include "contract.h"

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT(set_up_s3),   CONTRACT(set_up_s3_tls),   CONTRACT(set_up_s3_versioned),
        CONTRACT(set_up_s3v2), CONTRACT(set_up_s3v2_tls),
    };
    ceph_up();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ceph_down();
    return failed;
}
