/* Texts of JavaScript as UTF-8, and back. */
#include "text.h"
#include <string.h>

/* U+FFFD */
static const char replacement[] = { '\xef', '\xbf', '\xbd' };

/*
 * How many bytes at `s` are one character; or are none, then negative: each becomes one U+FFFD. Unicode, tables 3-7 and 3-8.
 */
static int character(const uint8_t *s, const uint8_t *end)
{
	const uint8_t first = *s;
	const int length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
	uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

	for (int i = 1; i < length; i++) {
		if (s + i == end || s[i] < low || s[i] > high)
			return -i;
		low = 0x80;
		high = 0xbf;
	}
	return length ? length : -1;
}

/* How many bytes, at least, are ASCII from the begin. */
static size_t ascii(const uint8_t *s, size_t length)
{
	size_t at = 0;

	for (uint64_t word; at + sizeof word <= length; at += sizeof word) {
		memcpy(&word, s + at, sizeof word);
		if (word & 0x8080808080808080)
			break;
	}
	return at;
}

/*
 * A string of what is UTF-8 but for mistakes. Left to itself, QuickJS takes what follows a mistake for a part of it, though it be
 * a separator or a quote, and makes half a pair of surrogates of what looks like one.
 */
JSValue berth_string(JSContext *js, const uint8_t *s, size_t length)
{
	const uint8_t *end = s + length;
	size_t mistakes = 0, used = 0;
	JSValue string;
	char *right;

	for (const uint8_t *at = s + ascii(s, length); at < end;) {
		int part = character(at, end);
		mistakes += part < 0;
		at += part < 0 ? -part : part;
	}
	if (!mistakes)
		return JS_NewStringLen(js, (const char *)s, length);
	right = js_malloc(js, length + mistakes * (sizeof replacement));
	if (!right)
		return JS_EXCEPTION;
	while (s < end) {
		int part = character(s, end);
		size_t size = part < 0 ? sizeof replacement : (size_t)part;
		memcpy(right + used, part < 0 ? replacement : (const char *)s, size);
		used += size;
		s += part < 0 ? -part : part;
	}
	string = JS_NewStringLen(js, right, used);
	js_free(js, right);
	return string;
}

/* Half a pair of surrogates has three bytes that are no UTF-8, and becomes U+FFFD, which has three as well. */
JSValue berth_place(JSContext *js, JSValueConst value, uint8_t *to, int64_t room)
{
	size_t length;
	const char *text = JS_ToCStringLen(js, &length, value);

	if (!text)
		return JS_EXCEPTION;
	if ((int64_t)length <= room) {
		memcpy(to, text, length);
		for (uint8_t *end = to + length; (to = memchr(to, 0xed, (size_t)(end - to))); to += sizeof replacement)
			if (to[1] >= 0xa0)
				memcpy(to, replacement, sizeof replacement);
	}
	JS_FreeCString(js, text);
	return JS_NewInt64(js, (int64_t)length);
}
