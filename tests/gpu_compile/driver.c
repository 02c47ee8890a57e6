/* In the place of NVIDIA's libcuda: what Triton's launcher calls.  The arguments of every kernel
   launch are kept; nothing runs, unless a test says what runs it. */

#include <string.h>

#include "cuda.h"

enum { LAUNCHES = 64, PARAMETERS = 128, BYTES = 8 };

struct launch {
  size_t function;
  unsigned grid[3], block[3];
  unsigned char parameters[PARAMETERS][BYTES];
};

static int something, modules;
int count, parameters, sizes[PARAMETERS];  /* the test says what the next kernel takes */
struct launch launches[LAUNCHES];
/* returns a CUresult */
int (*run)(size_t function, unsigned programs, unsigned threads, unsigned shared, void **values);

CUresult cuLaunchKernelEx(const CUlaunchConfig *c, CUfunction f, void **values, void **extra) {
  struct launch *l = &launches[count++ % LAUNCHES];
  memset(l, 0, sizeof *l);
  l->function = (size_t)f;
  l->grid[0] = c->gridDimX, l->grid[1] = c->gridDimY, l->grid[2] = c->gridDimZ;
  l->block[0] = c->blockDimX, l->block[1] = c->blockDimY, l->block[2] = c->blockDimZ;
  for (int i = 0; i < parameters; i++) memcpy(l->parameters[i], values[i], sizes[i]);
  if (!run) return CUDA_SUCCESS;
  return run(l->function, c->gridDimX, c->blockDimX, c->sharedMemBytes, values);
}

CUresult cuPointerGetAttribute(void *out, CUpointer_attribute a, CUdeviceptr pointer) {
  *(CUdeviceptr *)out = pointer;
  return CUDA_SUCCESS;
}
CUresult cuCtxGetCurrent(CUcontext *c) {
  *c = (CUcontext)&something;
  return CUDA_SUCCESS;
}
CUresult cuCtxGetDevice(CUdevice *d) {
  *d = 0;
  return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext c) {
  return CUDA_SUCCESS;
}
CUresult cuCtxGetLimit(size_t *v, CUlimit l) {
  *v = 0;
  return CUDA_SUCCESS;
}
CUresult cuCtxSetLimit(CUlimit l, size_t v) {
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice *d, int i) {
  *d = i;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int *v, CUdevice_attribute a, CUdevice d) {
  *v = 232448;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice d) {
  return cuCtxGetCurrent(c);
}
CUresult cuDriverGetVersion(int *v) {
  *v = 13000;
  return CUDA_SUCCESS;
}
CUresult cuFuncGetAttribute(int *v, CUfunction_attribute a, CUfunction f) {
  *v = 1024;
  return CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction f, CUfunction_attribute a, int v) {
  return CUDA_SUCCESS;
}
CUresult cuFuncSetCacheConfig(CUfunction f, CUfunc_cache c) {
  return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult e, const char **s) {
  *s = "an error";
  return CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule m) {
  return CUDA_SUCCESS;
}
CUresult cuModuleLoadData(CUmodule *m, const void *d) {
  *m = (CUmodule)(size_t)++modules;
  return CUDA_SUCCESS;
}
CUresult cuModuleGetFunction(CUfunction *f, CUmodule m, const char *n) {
  *f = (CUfunction)m;
  return CUDA_SUCCESS;
}
