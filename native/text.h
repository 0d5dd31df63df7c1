/* Texts of JavaScript as UTF-8, and back. */
#ifndef TEXT_H
#define TEXT_H

#include <stdint.h>
#include <quickjs.h>

/* What is there, of what is not UTF-8 each mistake as U+FFFD. */
JSValue berth_string(JSContext *js, const uint8_t *bytes, size_t length);
/* Puts a text where there is room for so many bytes, or nothing if it is longer. Its length in bytes either way. */
JSValue berth_place(JSContext *js, JSValueConst text, uint8_t *to, int64_t room);

#endif
