// oneDNN: Softmax, SoftmaxRows, SoftmaxPlanes and LogSoftmaxRows, of float32.
#include <dnnl.hpp>
#include <unordered_map>
#include "peer.h"

using namespace dnnl;

static engine cpu(engine::kind::cpu, 0);
static stream queue(cpu);
static softmax_forward softmax;
static logsoftmax_forward log_softmax;
static std::unordered_map<int, memory> arguments;
static void *source, *destination;

static void run() { softmax.execute(queue, arguments), queue.wait(); }
static void run_log() { log_softmax.execute(queue, arguments), queue.wait(); }

static peer_call setup(const char *kernel, int is64, long n, long cols) {
  bool log = !strcmp(kernel, "LogSoftmaxRows"), planes = !strcmp(kernel, "SoftmaxPlanes");
  if (is64 || (strncmp(kernel, "Softmax", 7) && !log) || strstr(kernel, "Grad")) return NULL;
  if (!strcmp(kernel, "Softmax")) cols = n;
  peer_free(source), peer_free(destination);
  source = peer_alloc(n * 4), destination = peer_alloc(n * 4);
  peer_random(source, 0, n, 3);
  memory::dims shape = planes ? memory::dims{cols, n / cols} : memory::dims{n / cols, cols};
  memory::desc desc(shape, memory::data_type::f32, memory::format_tag::ab);
  arguments = {{DNNL_ARG_SRC, memory(desc, cpu, source)}, {DNNL_ARG_DST, memory(desc, cpu, destination)}};
  int axis = planes ? 0 : 1;
  if (log) {
    log_softmax = logsoftmax_forward({{prop_kind::forward_inference, desc, axis}, cpu});
    return run_log;
  }
  softmax = softmax_forward({{prop_kind::forward_inference, desc, axis}, cpu});
  return run;
}

static int setup_loss(long, long, const char *, peer_call *, peer_call *) { return 0; }
