/* s3_xml.h - a small pull parser for the XML of S3 servers: elements and text. Attributes, comments, the
 * prolog and prefixes of names are passed over; a DOCTYPE, unknown entities, more than XML_DEPTH levels and
 * elements that do not nest are XML_BAD. Works on any bytes. */
#ifndef LIFEBOAT_STORE_S3_XML_H
#define LIFEBOAT_STORE_S3_XML_H

#include "base/base.h"

#define XML_DEPTH 8
enum xml_event { XML_BAD = -1, XML_END, XML_OPEN, XML_CLOSE };
struct xml {
    struct cursor in;
    struct bytes names[XML_DEPTH]; /* of the elements we are in */
    size_t depth;
    struct buf text; /* at XML_CLOSE of an element without children: what it holds, decoded */
    bool closing;    /* the innermost element ends with this event */
    bool empty;      /* it was <a/>: its end comes next */
    bool had_root;
};
static inline struct xml xml_of(struct bytes document) /* borrowed */
{
    return (struct xml){.in = cursor_of(document)};
}
enum xml_event xml_next(struct xml *x);
/* Whether the element of the last event is at this path from the root: "Error/Code"; "*" is any name. */
bool xml_is(const struct xml *x, const char *path);
void xml_free(struct xml *x);
AUTO_FOR(xml)

#endif
