/* In the place of AMD's libamdhip64: what Triton's launcher calls.  Every kernel launch is handed
   to what the test says runs it. */

#define __HIP_PLATFORM_AMD__
#include <hip/hip_runtime_api.h>
#include <string.h>

static int modules;
/* returns a hipError_t */
int (*run)(size_t function, unsigned programs, unsigned threads, unsigned shared, void **values);

static const char *last_error(void) { return "an error"; }
static const char *error_string(hipError_t e) { return "an error"; }

static hipError_t properties(hipDeviceProp_t *p, int device) {
  memset(p, 0, sizeof *p);
  strcpy(p->gcnArchName, ARCH ":sramecc+:xnack-"); /* as ROCm names an MI300X */
  p->warpSize = 64, p->sharedMemPerBlock = 1 << 16, p->multiProcessorCount = 304;
  return hipSuccess;
}
static hipError_t load(hipModule_t *m, const void *image, unsigned n, hipJitOption *o, void **v) {
  *m = (hipModule_t)(size_t)++modules;
  return hipSuccess;
}
static hipError_t function(hipFunction_t *f, hipModule_t m, const char *name) {
  *f = (hipFunction_t)m;
  return hipSuccess;
}
static hipError_t attribute(int *v, hipFunction_attribute a, hipFunction_t f) {
  *v = 1024;
  return hipSuccess;
}
static hipError_t launch(hipFunction_t f, unsigned x, unsigned y, unsigned z, unsigned threads,
                         unsigned threads_y, unsigned threads_z, unsigned shared, hipStream_t s,
                         void **values, void **extra) {
  if (y != 1 || z != 1 || threads_y != 1 || threads_z != 1 || extra) return hipErrorInvalidValue;
  return run((size_t)f, x, threads, shared, values);
}
static hipError_t pointer(void *data, hipPointer_attribute a, hipDeviceptr_t p) {
  *(hipDeviceptr_t *)data = p;
  return hipSuccess;
}
static hipError_t unknown(void) { return hipErrorNotSupported; }

hipError_t hipDriverGetVersion(int *version) {
  *version = 60443483; /* ROCm 6.4 */
  return hipSuccess;
}

#undef hipGetProcAddress
hipError_t hipGetProcAddress(const char *name, void **found, int version, uint64_t flags,
                             hipDriverProcAddressQueryResult *status) {
  const struct {
    const char *name;
    void *what;
  } known[] = {
      {"hipGetLastError", last_error},
      {"hipGetErrorString", error_string},
      {"hipGetDeviceProperties", properties},
      {"hipModuleLoadDataEx", load},
      {"hipModuleGetFunction", function},
      {"hipFuncGetAttribute", attribute},
      {"hipModuleLaunchKernel", launch},
      {"hipPointerGetAttribute", pointer},
      {"hipDrvLaunchKernelEx", unknown},
      {"hipModuleLaunchCooperativeKernel", unknown},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!strcmp(name, known[i].name)) {
      *found = known[i].what;
      return hipSuccess;
    }
  return hipErrorInvalidValue;
}
