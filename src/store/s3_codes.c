#include "s3_codes.h"

#include "base/base.h"

#include <string.h>

const char *s3_code_remedy(const char *code)
{
    static const struct {
        const char *code, *remedy;
    } known[] = {
        {"AccessDenied",
         "the access key may not do this: look at its permissions, and whether it is the right one"},
        {"InvalidAccessKeyId", "the server does not know this access key: check the credentials"},
        {"SignatureDoesNotMatch", "the secret key is wrong: check the credentials"},
        {"ExpiredToken", "the session token has expired: get new credentials"},
        {"TokenRefreshRequired", "the session token has expired: get new credentials"},
        {"InvalidToken", "the session token does not belong to this access key: get new credentials"},
        {"NoSuchBucket", "make the bucket, or correct its name in the url"},
        {"InvalidBucketName", "correct the bucket's name in the url"},
        {"AuthorizationHeaderMalformed", "set the region of the bucket"},
        {"ObjectLockConfigurationNotFoundError", "the bucket has no Object Lock"},
        {"NotImplemented", "this server cannot do that"},
        {"MethodNotAllowed", "is the endpoint one for S3?"},
        {"QuotaExceeded", "raise the quota, or make room with `lifeboat prune`"},
        {"InvalidObjectState",
         "the object was moved to an archive class: take the lifecycle rule away, and bring "
         "it back with the provider's tools"},
        {"BadDigest", "the bytes changed on their way"},
        {"XAmzContentSHA256Mismatch", "the bytes changed on their way"},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(code, known[i].code) == 0)
            return known[i].remedy;
    return NULL;
}

bool s3_code_may_pass(const char *code)
{
    static const char *const passing[] = {"SlowDown",
                                          "InternalError",
                                          "ServiceUnavailable",
                                          "RequestTimeout",
                                          "OperationAborted",
                                          "Busy",
                                          "TooManyRequests",
                                          "BadDigest",
                                          "XAmzContentSHA256Mismatch",
                                          "ThrottlingException",
                                          "Throttling",
                                          "RequestLimitExceeded",
                                          "IncompleteBody"};
    for (size_t i = 0; i < ARRAY_LEN(passing); i++)
        if (strcmp(code, passing[i]) == 0)
            return true;
    return false;
}
