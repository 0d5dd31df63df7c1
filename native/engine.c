/*
 * The engine: QuickJS with berth's TypeScript in it, as bytecode. A program starts with its main.ts; the others of its modules
 * are loaded when they are imported. To JavaScript it gives one object, "native" (src/linux/engine.ts), and nothing of a
 * host's usual ways out: no files, no eval, no network but by system calls.
 */
#define _GNU_SOURCE
#include "ffi.h"
#include "text.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/close_range.h>
#include <sys/resource.h>

/* scripts/embed.mjs makes them. */
struct module {
	const char *name;
	const uint8_t *code;
	size_t size;
};
extern const struct module modules[];

/* Cycles are collected once there is so much: no verb comes to that, but `events` may run for months. */
enum { COLLECT_ABOVE = 8 << 20, MAX_STACK = 1 << 20, MAX_ARGUMENTS = 8, MAX_PATH = 4096 };

/* What src/linux/memory.ts hands out: pages that nobody touches cost nothing. */
static uint8_t memory[1 << 18];

static void __attribute__((noreturn)) give_up(JSContext *js)
{
	JSValue error = JS_GetException(js);
	const char *text = JS_ToCString(js, error);
	const char *stack = JS_IsError(js, error) ? JS_ToCString(js, JS_GetPropertyStr(js, error, "stack")) : 0;

	dprintf(2, "berth: internal error: %s\n%s", text ? text : "no memory", stack ? stack : "");
	_exit(1);
}

/* Those that are left out are 0. Numbers are exact up to 2^53: addresses, and all that the kernel answers. */
static int integers(JSContext *js, int argc, JSValueConst *argv, int64_t to[MAX_ARGUMENTS])
{
	for (int i = 0; i < MAX_ARGUMENTS; i++) {
		to[i] = 0;
		if (i < argc && JS_ToInt64(js, &to[i], argv[i]) < 0)
			return -1;
	}
	return 0;
}

/* syscall(nr, a, b, c, d, e, f) */
static JSValue call_kernel(JSContext *js, JSValueConst this, int argc, JSValueConst *argv)
{
	int64_t a[MAX_ARGUMENTS];

	(void)this;
	if (integers(js, argc, argv, a) < 0)
		return JS_EXCEPTION;
	return JS_NewInt64(js, berth_syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]));
}

/* call(address, a, b, c, d, e, f, g) */
static JSValue call_function(JSContext *js, JSValueConst this, int argc, JSValueConst *argv)
{
	int64_t a[MAX_ARGUMENTS];

	(void)this;
	if (integers(js, argc, argv, a) < 0)
		return JS_EXCEPTION;
	return JS_NewInt64(js, berth_call(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]));
}

/* address(typed array): of its first byte. QuickJS never moves it. */
static JSValue address_of(JSContext *js, JSValueConst this, int argc, JSValueConst *argv)
{
	size_t offset, length, size;
	JSValue buffer = JS_GetTypedArrayBuffer(js, argc > 0 ? argv[0] : JS_UNDEFINED, &offset, &length, &size);
	uint8_t *bytes;

	(void)this;
	if (JS_IsException(buffer))
		return buffer;
	bytes = JS_GetArrayBuffer(js, &size, buffer);
	JS_FreeValue(js, buffer);
	if (!bytes)
		return JS_EXCEPTION;
	return JS_NewInt64(js, (int64_t)(bytes + offset));
}

/* text(address, length): what is there, from UTF-8; of what is not, each mistake is U+FFFD. */
static JSValue text_at(JSContext *js, JSValueConst this, int argc, JSValueConst *argv)
{
	int64_t a[MAX_ARGUMENTS];

	(void)this;
	if (integers(js, argc, argv, a) < 0)
		return JS_EXCEPTION;
	return berth_string(js, (const uint8_t *)a[0], (size_t)a[1]);
}

/* place(text, address, room): as UTF-8, if there is room for all of it; its length in bytes either way. */
static JSValue place_text(JSContext *js, JSValueConst this, int argc, JSValueConst *argv)
{
	int64_t a[MAX_ARGUMENTS];

	(void)this;
	if (integers(js, argc - 1, argv + 1, a) < 0)
		return JS_EXCEPTION;
	return berth_place(js, argv[0], (uint8_t *)a[0], a[1]);
}

static void set_address(JSContext *js, JSValue object, const char *name, const void *of)
{
	JS_SetPropertyStr(js, object, name, JS_NewInt64(js, (int64_t)of));
}

static JSValue list_of(JSContext *js, char **strings)
{
	JSValue list = JS_NewArray(js);

	for (uint32_t i = 0; strings[i]; i++)
		JS_SetPropertyUint32(js, list, i, berth_string(js, (const uint8_t *)strings[i], strlen(strings[i])));
	return list;
}

/* NAME=value as an object's properties. */
static JSValue environment_of(JSContext *js, char **variables)
{
	JSValue object = JS_NewObject(js);

	for (; *variables; variables++) {
		const char *value = strchr(*variables, '=');
		JSAtom name = value ? JS_NewAtomLen(js, *variables, (size_t)(value - *variables)) : JS_ATOM_NULL;
		if (name == JS_ATOM_NULL)
			continue;
		value++;
		JS_SetProperty(js, object, name, berth_string(js, (const uint8_t *)value, strlen(value)));
		JS_FreeAtom(js, name);
	}
	return object;
}

/*
 * How many descriptors follow stdio without a gap. What is inherited is for those whom berth says to keep it for; and where the
 * caller has closed stdio, no file may come to be 0, 1 or 2.
 */
static int inherit_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
			dprintf(2, "berth: descriptor %d is closed, and /dev/null cannot be opened in its place\n", fd);
			_exit(1);
		}
	while (fcntl(3 + count, F_GETFD) >= 0)
		count++;
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	return count;
}

/* The directory of this program. */
static JSValue own_directory(JSContext *js)
{
	char path[MAX_PATH];
	ssize_t length = readlink("/proc/self/exe", path, sizeof path);

	while (length > 0 && path[length - 1] != '/')
		length--;
	return berth_string(js, (const uint8_t *)path, length > 0 ? (size_t)length - 1 : 0);
}

static void set_engine(JSContext *js, int argc, char **argv, char **envp)
{
	JSValue global = JS_GetGlobalObject(js), engine = JS_NewObject(js);

	JS_SetPropertyStr(js, engine, "syscall", JS_NewCFunction(js, call_kernel, "syscall", 7));
	JS_SetPropertyStr(js, engine, "call", JS_NewCFunction(js, call_function, "call", 8));
	JS_SetPropertyStr(js, engine, "address", JS_NewCFunction(js, address_of, "address", 1));
	JS_SetPropertyStr(js, engine, "text", JS_NewCFunction(js, text_at, "text", 2));
	JS_SetPropertyStr(js, engine, "place", JS_NewCFunction(js, place_text, "place", 3));
	set_address(js, engine, "run", berth_run);
	set_address(js, engine, "spawn", berth_spawn);
	set_address(js, engine, "forward", berth_forward);
	set_address(js, engine, "sha256", berth_sha256);
	set_address(js, engine, "dlopen", dlopen);
	set_address(js, engine, "dlsym", dlsym);
	JS_SetPropertyStr(js, engine, "memory", JS_NewArrayBuffer(js, memory, sizeof memory, 0, 0, 0));
	JS_SetPropertyStr(js, engine, "arguments", list_of(js, argv + (argc > 0)));
	JS_SetPropertyStr(js, engine, "environment", environment_of(js, envp));
	JS_SetPropertyStr(js, engine, "directory", own_directory(js));
	JS_SetPropertyStr(js, engine, "inherited", JS_NewInt32(js, inherit_descriptors()));
#if defined(__x86_64__)
	JS_SetPropertyStr(js, engine, "machine", JS_NewString(js, "x86_64"));
#else
	JS_SetPropertyStr(js, engine, "machine", JS_NewString(js, "aarch64"));
#endif
	JS_SetPropertyStr(js, global, "native", engine);
	JS_FreeValue(js, global);
}

static JSValue read_module(JSContext *js, const char *name)
{
	const struct module *module = modules;

	while (module->name && strcmp(module->name, name) != 0)
		module++;
	if (!module->name)
		return JS_ThrowReferenceError(js, "engine.c", __LINE__, "no module \"%s\" in this program", name);
	return JS_ReadObject(js, module->code, module->size, JS_READ_OBJ_BYTECODE | JS_READ_OBJ_ROM_DATA);
}

static JSModuleDef *load_module(JSContext *js, const char *name, void *opaque)
{
	JSValue module = read_module(js, name);

	(void)opaque;
	if (JS_IsException(module))
		return 0;
	/* The context holds it as well. */
	JS_FreeValue(js, module);
	return JS_VALUE_GET_PTR(module);
}

/* Without what no module uses, and without eval: no text ever becomes code. */
static JSContext *new_context(JSRuntime *runtime)
{
	JSContext *js = JS_NewContextRaw(runtime);

	if (!js || JS_AddIntrinsicBaseObjects(js) < 0 || JS_AddIntrinsicRegExp(js) < 0 || JS_AddIntrinsicJSON(js) < 0 ||
	    JS_AddIntrinsicMapSet(js) < 0 || JS_AddIntrinsicTypedArrays(js) < 0 || JS_AddIntrinsicPromise(js) < 0 ||
	    JS_AddIntrinsicDate(js) < 0)
		return 0;
	JS_AddIntrinsicRegExpCompiler(js);
	return js;
}

/* Deep nesting is an error rather than a crash, however small the stack; half of it is for the arguments, and for C. */
static void limit_stack(JSRuntime *runtime)
{
	struct rlimit limit;
	int is_small = getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur / 2 < MAX_STACK;

	JS_SetMaxStackSize(runtime, is_small ? limit.rlim_cur / 2 : MAX_STACK);
}

int main(int argc, char **argv, char **envp)
{
	JSRuntime *runtime = JS_NewRuntime();
	JSContext *js = runtime ? new_context(runtime) : 0;
	JSValue module, done;

	if (!js) {
		dprintf(2, "berth: no memory for the engine\n");
		return 1;
	}
	/* A reader that is gone is an errno, and so is a file that may not grow. Containers get their signals anew. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	limit_stack(runtime);
	JS_SetGCThreshold(runtime, COLLECT_ABOVE);
	JS_SetModuleLoaderFunc(runtime, load_module);
	set_engine(js, argc, argv, envp);
	module = read_module(js, "main.js");
	if (JS_IsException(module) || JS_ResolveModule(js, module) < 0)
		give_up(js);
	done = JS_EvalFunctionAsync(js, module);
	if (JS_IsException(done))
		give_up(js);
	while (JS_IsJobPending(runtime))
		if (JS_ExecutePendingJob(runtime, &js) < 0)
			give_up(js);
	if (JS_PromiseState(js, done) == JS_PROMISE_REJECTED) {
		JS_Throw(js, JS_PromiseResult(js, done));
		give_up(js);
	}
	if (JS_PromiseState(js, done) != JS_PROMISE_FULFILLED) {
		JS_ThrowInternalError(js, "engine.c", __LINE__, "it waits for what nothing will bring");
		give_up(js);
	}
	/* What it holds goes with the process. */
	_exit(0);
}
