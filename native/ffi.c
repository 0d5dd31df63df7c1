/*
 * The runtime's way to native code, as a Node-API module: it calls a function at an address with integers, and tells the
 * address of a buffer. Bun's own bun:ffi needs the engine's JIT compiler, which to set up costs every start more than this
 * whole file.
 */
#include "run.h"
#include "spawn.h"
#include <node_api.h>

/* The engine is linked with the C library; its headers need not be there. */
extern void *dlopen(const char *path, int flags);
extern void *dlsym(void *library, const char *name);
extern char *dlerror(void);

enum { MAX_ARGUMENTS = 8 };

/* The arguments of a call as integers; those that are left out are 0. */
static void integers(napi_env env, napi_callback_info info, int64_t *to)
{
	napi_value given[MAX_ARGUMENTS];
	size_t count = MAX_ARGUMENTS;

	napi_get_cb_info(env, info, &count, given, 0, 0);
	for (size_t i = 0; i < MAX_ARGUMENTS; i++)
		if (i >= count || napi_get_value_int64(env, given[i], &to[i]) != napi_ok)
			to[i] = 0;
}

static napi_value number(napi_env env, int64_t value)
{
	napi_value result = 0;

	napi_create_int64(env, value, &result);
	return result;
}

/* syscall(nr, a, b, c, d, e, f): its result, or the negated errno. */
static napi_value call_kernel(napi_env env, napi_callback_info info)
{
	int64_t a[MAX_ARGUMENTS];

	integers(env, info, a);
	return number(env, sys(a[0], a[1], a[2], a[3], a[4], a[5], a[6]));
}

/* call(function, a, b, c, d, e, f, g): what the function at that address returns. */
static napi_value call_function(napi_env env, napi_callback_info info)
{
	int64_t a[MAX_ARGUMENTS];

	integers(env, info, a);
	return number(env, ((int64_t (*)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t))a[0])(
				   a[1], a[2], a[3], a[4], a[5], a[6], a[7]));
}

/* address(typed array): of its first byte. */
static napi_value address_of(napi_env env, napi_callback_info info)
{
	napi_value array;
	size_t count = 1;
	void *data = 0;

	napi_get_cb_info(env, info, &count, &array, 0, 0);
	/* Address 0 would end the process, or mean "none" to the kernel. */
	if (napi_get_typedarray_info(env, array, 0, 0, &data, 0, 0) != napi_ok)
		napi_throw_type_error(env, 0, "not a typed array");
	return number(env, (int64_t)data);
}

static void export(napi_env env, napi_value exports, const char *name, napi_callback function)
{
	napi_value value;

	if (napi_create_function(env, name, NAPI_AUTO_LENGTH, function, 0, &value) == napi_ok)
		napi_set_named_property(env, exports, name, value);
}

static void export_address(napi_env env, napi_value exports, const char *name, const void *of)
{
	napi_set_named_property(env, exports, name, number(env, (int64_t)of));
}

NAPI_MODULE_INIT(/* env, exports */)
{
	export(env, exports, "syscall", call_kernel);
	export(env, exports, "call", call_function);
	export(env, exports, "address", address_of);
	export_address(env, exports, "run", berth_run);
	export_address(env, exports, "spawn", berth_spawn);
	export_address(env, exports, "forward", berth_forward);
	export_address(env, exports, "dlopen", dlopen);
	export_address(env, exports, "dlsym", dlsym);
	export_address(env, exports, "dlerror", dlerror);
	return exports;
}
