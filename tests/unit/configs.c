#include "configs.h"

struct config *parse_text(const char *text, struct err *e)
{
    *e = (struct err)ERR_INIT;
    return config_parse("t.conf", BYTES_STR(text), e);
}

struct config *parse_well(const char *text)
{
    struct err e;
    struct config *c = parse_text(text, &e);
    if (!c)
        fail_msg("%s\n%s", text, e.text);
    assert_false(err_is_set(&e));
    return c;
}

struct config *parse_source(const char *keys)
{
    AUTO_CHAR text = xasprintf(STORE "[source s]\n%s", keys);
    return parse_well(text);
}

void refuse(const char *text, const char *message)
{
    struct err e;
    AUTO_PTR(config) c = parse_text(text, &e);
    if (c)
        fail_msg("not refused: %s", text);
    assert_int_equal(e.kind, ERR_USAGE);
    if (strncmp(e.text, message, strlen(message)) != 0)
        fail_msg("\"%s\"\ndoes not start with\n\"%s\"", e.text, message);
}
